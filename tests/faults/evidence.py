"""What the checks of one scenario read: its part of the simulator's log and of the ledger, and its faults."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from deploy.local.demo.history import History, read_history

# All loads pay in euros.
_EXPONENT: Final = 2

Key = tuple[int | None, int | None]
"""CashbackId and TransactionType: what moves money once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One injected fault; Unix milliseconds. One that strikes at a moment begins and ends then."""

    name: str
    begun_at_ms: int
    ended_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """What BETCORE ordered under one key: whose money, and how it changes, in minor units."""

    user_id: str
    effect_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything about one scenario.

    `received_by_ms`: by token digest, when BETCORE first heard that it was received. `users` are those
    whom the scenario's load pays to, and nobody else's load does.
    """

    history: History
    ordered: Mapping[Key, Ordered]
    received_by_ms: Mapping[str, int]
    users: Sequence[str]
    faults: Sequence[Fault] = ()

    def without(self, aside: "Aside") -> "Evidence":
        """Return it as if the receiver had not answered for these tokens, and nobody sent these accepts."""
        kept = {token: at_ms for token, at_ms in self.received_by_ms.items() if token not in aside.tokens}
        accepts = tuple(one for one in self.history.accepts if one.accept_id not in aside.accept_ids)
        return replace(self, received_by_ms=kept, history=replace(self.history, accepts=accepts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """What no ledger can speak for any more, and the scenario judges itself: token digests, and accepts."""

    tokens: AbstractSet[str] = frozenset()
    accept_ids: AbstractSet[int] = frozenset()


def gather(  # noqa: PLR0913 -- what a scenario leaves behind, keyword-only
    log: Mapping[str, Any],
    database_url: str,
    *,
    cashback_ids: range,
    users: Sequence[str],
    faults: Sequence[Fault],
    queued_by_ms: Mapping[str, int] | None = None,
) -> Evidence:
    """Put together what belongs to one scenario; raises psycopg.Error.

    `queued_by_ms`: by token digest, when Redis said that it has a message that came past the receiver.
    """
    makes = [record for record in log["makes"] if record["cashback_id"] in cashback_ids]
    accepts = [record for record in log["accepts"] if record["cashback_id"] in cashback_ids]
    received_by_ms = dict(queued_by_ms or {})
    for record in makes:
        if record["http_status"] == 200:
            received_by_ms.setdefault(record["token_sha256"], record["replied_at_ms"])
    return Evidence(
        history=_within(
            read_history({"makes": makes, "accepts": accepts}, database_url),
            cashback_ids=cashback_ids,
            users=frozenset(users),
        ),
        ordered={(make["cashback_id"], make["transaction_type"]): _ordered(make) for make in makes},
        received_by_ms=received_by_ms,
        users=users,
        faults=faults,
    )


def _ordered(make: Mapping[str, Any]) -> Ordered:
    amount_minor = int(Decimal(make["amount"]).scaleb(_EXPONENT))
    sign = 1 if make["transaction_type"] == 1 else -1
    return Ordered(user_id=make["user_id"], effect_minor=sign * amount_minor)


def _within(history: History, *, cashback_ids: range, users: frozenset[str]) -> History:
    transactions = tuple(row for row in history.transactions if row.cashback_id in cashback_ids)
    transaction_ids = {row.transaction_id for row in transactions}
    return History(
        makes=history.makes,
        accepts=history.accepts,
        receipts=tuple(row for row in history.receipts if row.cashback_id in cashback_ids),
        transactions=transactions,
        accounts=tuple(row for row in history.accounts if row.user_id in users),
        entries=tuple(row for row in history.entries if row.transaction_id in transaction_ids),
    )
