"""What happened, as plain values: the simulator's log and the ledger's tables. All that the checks read."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

import psycopg
from psycopg import rows

RECEIVED_STATUS: Final = 200

Row = TypeVar("Row")
StageRow = tuple[str, str, int]
"""An event on record: its token's digest, its state, how often it was tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One make that was sent, and the HTTP status of the receiver's answer, or why there was none."""

    make_id: int
    token_sha256: str
    http_status: int | None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Make:
    """One sending of a make token, as the simulator saw it; times are Unix milliseconds.

    `replied_at_ms` is None where no reply came.
    """

    make_id: int
    token_sha256: str
    cashback_id: int
    transaction_type: int
    http_status: int | None
    first_sent_at_ms: int
    replied_at_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accept:
    """One accept, as the simulator saw it. What could not be read of it is None."""

    accept_id: int
    cashback_id: int | None
    transaction_type: int | None
    error_code: int | None
    user_id: str | None
    partner_transaction_id: str | None
    amount: Decimal | None
    tax_amount: Decimal | None
    received_at_ms: int
    answered_at_ms: int | None
    in_time: bool
    late: bool
    acknowledged: bool
    delivered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One event on record. Its token's digest is computed by PostgreSQL, from the token itself."""

    token_sha256: str
    cashback_id: int
    state: str
    code: int | None
    transaction_id: int | None
    unconfirmed: bool
    credit_cutoff_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One transaction of the ledger; `token_sha256` is that of the event that made it."""

    transaction_id: int
    kind: str
    cashback_id: int | None
    transaction_type: int | None
    token_sha256: str | None
    user_id: str | None
    exponent: int
    amount_minor: int
    tax_minor: int
    reverses: int | None
    created_at: datetime

    @property
    def partner_transaction_id(self) -> str:
        """The id that BETCORE knows it by."""
        return f"{self.cashback_id}-{self.transaction_type}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerAccount:
    """One account of the ledger; the house's keep no balance."""

    account_id: int
    user_id: str | None
    currency: str
    balance_minor: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of the ledger."""

    transaction_id: int
    account_id: int
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Everything that two independent witnesses have to say."""

    makes: tuple[Make, ...]
    accepts: tuple[Accept, ...]
    receipts: tuple[Receipt, ...]
    transactions: tuple[Transaction, ...]
    accounts: tuple[LedgerAccount, ...]
    entries: tuple[Entry, ...]

    def received_tokens(self) -> set[str]:
        """Return the digests of the tokens that the receiver answered 200 at least once."""
        return {make.token_sha256 for make in self.makes if make.http_status == RECEIVED_STATUS}


_DIGEST: Final = "encode(sha256(convert_to(tokens.token, 'UTF8')), 'hex')"
_RECEIPTS: Final = f"""
    SELECT {_DIGEST} AS token_sha256, cashback_id, state, code, transaction_id, unconfirmed, credit_cutoff_at
    FROM receipts JOIN tokens USING (received_at, event_id)
"""  # noqa: S608 -- a constant of this file
_TRANSACTIONS: Final = f"""
    SELECT transactions.transaction_id, transactions.kind, transactions.cashback_id,
        transactions.transaction_type, {_DIGEST} AS token_sha256, accounts.user_id, exponent, amount_minor,
        tax_minor, reverses, transactions.created_at
    FROM transactions
        LEFT JOIN receipts USING (event_id)
        LEFT JOIN tokens USING (received_at, event_id)
        LEFT JOIN accounts USING (account_id)
        LEFT JOIN currencies USING (currency)
"""  # noqa: S608 -- a constant of this file
_ACCOUNTS: Final = "SELECT account_id, user_id, currency, balance_minor FROM accounts"
_ENTRIES: Final = "SELECT transaction_id, account_id, amount_minor FROM entries"
_STAGES: Final = f"""
    SELECT {_DIGEST} AS token_sha256, state, runs FROM receipts JOIN tokens USING (received_at, event_id)
"""  # noqa: S608 -- same


async def read_stages(connection: psycopg.AsyncConnection) -> list[StageRow]:
    """Return how far each event on record is; raises psycopg.Error."""
    return await (await connection.execute(_STAGES)).fetchall()


def read_history(log: dict[str, Any], database_url: str) -> History:
    """Put the simulator's log and one snapshot of the ledger together; raises psycopg.Error."""
    with psycopg.connect(database_url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        return History(
            makes=tuple(_make(record) for record in log["makes"]),
            accepts=tuple(_accept(record) for record in log["accepts"]),
            receipts=_rows(connection, Receipt, _RECEIPTS),
            transactions=_rows(connection, Transaction, _TRANSACTIONS),
            accounts=_rows(connection, LedgerAccount, _ACCOUNTS),
            entries=_rows(connection, Entry, _ENTRIES),
        )


def _rows(connection: psycopg.Connection, row_class: type[Row], query: str) -> tuple[Row, ...]:
    with connection.cursor(row_factory=rows.class_row(row_class)) as cursor:
        return tuple(cursor.execute(query).fetchall())


def _make(record: dict[str, Any]) -> Make:
    return Make(**{name: record[name] for name in Make.__slots__})


def _accept(record: dict[str, Any]) -> Accept:
    members = {name: record[name] for name in Accept.__slots__}
    for name in ("amount", "tax_amount"):
        members[name] = None if members[name] is None else Decimal(members[name])
    # Null means that no make is known which it could answer.
    return Accept(**{**members, "in_time": bool(members["in_time"])})
