"""What an operator looks at of one cashback or one event: all that it did, and all that was done to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from worker.cli.queries.events.listing import Event, read_page
from worker.cli.queries.snapshot import snapshot
from worker.errors import NotFound

_MAX_REPLAYS: Final = 1_000

# Whose receipt is gone was acknowledged: nothing else is ever removed (prune_receipts).
_TRANSACTIONS: Final = """
    SELECT transaction_id, transactions.kind, cashback_id, transaction_type, event_id, user_id, currency,
        exponent, amount_minor, tax_minor, reverses, transactions.created_at,
        told.is_acknowledged OR NOT EXISTS (
            SELECT FROM receipts WHERE receipts.event_id = transactions.event_id) AS is_acknowledged,
        told.is_being_told
    FROM transactions JOIN accounts USING (account_id) JOIN currencies USING (currency), LATERAL (
        SELECT coalesce(bool_or(state = 'answered' OR confirmed_by IS NOT NULL), false) AS is_acknowledged,
            coalesce(bool_or(state = 'settled'), false) AS is_being_told
        FROM receipts
        WHERE receipts.cashback_id = transactions.cashback_id
            AND receipts.transaction_id = transactions.transaction_id) AS told
    WHERE cashback_id = %s ORDER BY transaction_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A transaction of a cashback; amounts in minor units of `exponent` digits.

    `is_acknowledged` says that BETCORE acknowledged an event of it, `is_being_told` that one still is sent.
    """

    transaction_id: int
    kind: str
    cashback_id: int
    transaction_type: int
    event_id: UUID
    user_id: str
    currency: str
    exponent: int
    amount_minor: int
    tax_minor: int
    reverses: int | None
    created_at: datetime
    is_acknowledged: bool
    is_being_told: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedEntry:
    """One entry of a transaction; `user_id` is None where the account is one of the house."""

    entry_id: int
    transaction_id: int
    account_id: int
    account_kind: str
    user_id: str | None
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One accept that was sent; `status` (HTTP) and `code` (BETCORE's) are None where none came."""

    event_id: UUID
    sent_at: datetime
    duration_ms: int | None
    status: int | None
    code: int | None
    worker: str | None
    detail: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """An order to send an event's accept again, as the audit has it."""

    event_id: UUID
    ordered_at: datetime
    person: str
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cashback:
    """All that is on record about one CashbackId, or about the one event that was asked for.

    `events` are newest first, cut off where `more_events`; the transactions are those of the CashbackId.
    """

    cashback_id: int
    event_id: UUID | None
    events: tuple[Event, ...]
    more_events: bool
    transactions: tuple[Transaction, ...]
    entries: tuple[PostedEntry, ...]
    attempts: tuple[Attempt, ...]
    replays: tuple[Replay, ...]


def read_cashback(connection: psycopg.Connection[Any], cashback_id: int, *, limit: int) -> Cashback:
    """Return the events of a CashbackId, at most `limit`, newest first, and its transactions.

    Raises NotFound where there is neither. A CashbackId has one payout and one reversal at most, so only
    its events can be many: each re-submission of BETCORE's is one.
    """
    with snapshot(connection):
        page = read_page(connection, [[sql.SQL("cashback_id = {}").format(cashback_id)]], limit=limit)
        found = _with_all_else(connection, cashback_id, page.events, more_events=page.next_after is not None)
    if not found.events and not found.transactions:
        raise NotFound(f"nothing with CashbackId {cashback_id} is on record")
    return found


def read_event(connection: psycopg.Connection[Any], event_id: UUID) -> Cashback:
    """Return one event, and the transactions of its CashbackId. Raises NotFound."""
    with snapshot(connection):
        page = read_page(connection, [[sql.SQL("event_id = {}").format(event_id)]], limit=1)
        if not page.events:
            raise NotFound(f"no event {event_id} is on record")
        cashback_id = page.events[0].cashback_id
        return _with_all_else(connection, cashback_id, page.events, more_events=False, event_id=event_id)


def _with_all_else(
    connection: psycopg.Connection[Any],
    cashback_id: int,
    events: tuple[Event, ...],
    *,
    more_events: bool,
    event_id: UUID | None = None,
) -> Cashback:
    with connection.cursor(row_factory=class_row(Transaction)) as cursor:
        transactions = tuple(cursor.execute(_TRANSACTIONS, (cashback_id,)))
    with connection.cursor(row_factory=class_row(PostedEntry)) as cursor:
        cursor.execute(
            "SELECT entry_id, transaction_id, account_id, kind AS account_kind, user_id, amount_minor "
            "FROM entries JOIN accounts USING (account_id) "
            "WHERE transaction_id = ANY (%s) ORDER BY entry_id",
            ([transaction.transaction_id for transaction in transactions],),
        )
        entries = tuple(cursor)
    event_ids = [event.event_id for event in events]
    return Cashback(
        cashback_id=cashback_id,
        event_id=event_id,
        events=events,
        more_events=more_events,
        transactions=transactions,
        entries=entries,
        attempts=_read_attempts(connection, event_ids),
        replays=_read_replays(connection, event_ids),
    )


def _read_attempts(connection: psycopg.Connection[Any], event_ids: Sequence[UUID]) -> tuple[Attempt, ...]:
    with connection.cursor(row_factory=class_row(Attempt)) as cursor:
        cursor.execute(
            "SELECT event_id, sent_at, duration_ms, status, attempt.code, worker, detail "
            "FROM receipts, unnest(accepts) WITH ORDINALITY "
            "AS attempt (sent_at, duration_ms, status, code, worker, detail, number) "
            "WHERE event_id = ANY (%s) ORDER BY event_id, number",
            (list(event_ids),),
        )
        return tuple(cursor)


def _read_replays(connection: psycopg.Connection[Any], event_ids: Sequence[UUID]) -> tuple[Replay, ...]:
    with connection.cursor(row_factory=class_row(Replay)) as cursor:
        cursor.execute(
            "SELECT subject::uuid AS event_id, happened_at AS ordered_at, person, reason FROM audit "
            "WHERE subject = ANY (%s) AND action = 'replay' ORDER BY audit_id LIMIT %s",
            ([str(event_id) for event_id in event_ids], _MAX_REPLAYS),
        )
        return tuple(cursor)
