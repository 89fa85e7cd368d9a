"""The life of one event: what was asked for, how it stands, and what is to be done next. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from cashback_client.number import read_decimal
from producer.protocol.asked import read_asked

PAYOUT_TYPE: Final = 1


class Kind(StrEnum):
    """What a TransactionType asks for."""

    PAYOUT = "payout"
    CANCEL = "cancel"


class State(StrEnum):
    """The states of a receipt; `worker/schema/tables/0002_receipts.sql` draws the ways between them."""

    RECEIVED = "received"
    SETTLED = "settled"
    ANSWERED = "answered"
    REFUSED = "refused"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """What a verified make asks for, as far as it can be read.

    `kind` is None where the data cannot be read as an instruction; `amount` and `tax` (major units) are
    None where they are no usable decimals, and beside a `kind` `user_id` is None where it is text that no
    database can hold. Whatever could be read is echoed in the accept answer.
    """

    cashback_id: int
    kind: Kind | None
    transaction_type: int | None
    user_id: str | None
    amount: Decimal | None
    tax: Decimal | None


def partner_transaction_id(cashback_id: int, transaction_type: int) -> str:
    """Name a transaction for BETCORE by its business key alone: `480-1`, and `480--1` for a cancel.

    The number that a database gives it is no part of the name: a standby or a restored copy may give
    another, and the same money has one name for ever. Before the first hyphen stands the CashbackId, after
    it the TransactionType. Decision 27.
    """
    return f"{cashback_id}-{transaction_type}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedTransaction:
    """A transaction that stands in the ledger; amounts in minor units of `exponent` digits."""

    transaction_id: int
    cashback_id: int
    transaction_type: int
    user_id: str
    amount_minor: int
    tax_minor: int
    exponent: int

    @property
    def partner_transaction_id(self) -> str:
        """Our name of it towards BETCORE."""
        return partner_transaction_id(self.cashback_id, self.transaction_type)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """How an event stands in the database.

    `code` is the ErrorCode to answer with, None while a cancel waits for its payout. `transaction` stands
    with the codes 200 and 103804. The seconds count from the moment of the call, by the database's clock.
    """

    state: State
    cashback_id: int
    code: int | None
    transaction: PostedTransaction | None
    runs: int
    seconds_to_cutoff: float
    seconds_to_deadline: float

    @property
    def is_closed(self) -> bool:
        """Whether the event has come to its end and nothing is left to do."""
        return self.state in {State.ANSWERED, State.REFUSED, State.EXPIRED}


@dataclass(frozen=True, slots=True)
class Done:
    """The event came to this state."""

    state: State


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Run the event again after `delay_seconds`; `error` says why, for logs and Flower."""

    delay_seconds: float
    error: Exception


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The event has failed for good; `error` is what Flower shows."""

    error: Exception


Step = Done | RetryAt | GiveUp


def read_instruction(
    data: Mapping[str, object], *, cashback_id: int, cancel_types: frozenset[int]
) -> Instruction:
    """Read the verified data of a make. Never fails: what is wrong with it becomes a code in the ledger.

    docs/data.md says what is read as what (decision 31).
    """
    asked = read_asked(data)
    tax = data.get("TaxAmount")
    return Instruction(
        cashback_id=cashback_id,
        kind=_kind_of(asked.transaction_type, cancel_types)
        if asked.names_user and "Amount" in data
        else None,
        transaction_type=asked.transaction_type,
        user_id=asked.user_id,
        amount=asked.amount,
        tax=Decimal(0) if tax is None else read_decimal(tax),
    )


def unread_instruction(cashback_id: int) -> Instruction:
    """Stand in for an instruction whose token could not be verified here: only its CashbackId is said."""
    return Instruction(
        cashback_id=cashback_id, kind=None, transaction_type=None, user_id=None, amount=None, tax=None
    )


def _kind_of(transaction_type: int | None, cancel_types: frozenset[int]) -> Kind | None:
    if transaction_type == PAYOUT_TYPE:
        return Kind.PAYOUT
    return Kind.CANCEL if transaction_type in cancel_types else None
