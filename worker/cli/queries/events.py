"""What an operator looks at of events: a cashback with all that it did, and pages of receipts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from cashback_client.contract import OWN_PRODUCER
from worker.cli.queries.snapshot import snapshot
from worker.domain.settlement import State
from worker.errors import NotFound

_EVENT_COLUMNS: Final = sql.SQL(
    "event_id, cashback_id, state, code, transaction_id, attempts, unconfirmed, confirmed_by, last_error, "
    "received_at, credit_cutoff_at, deadline_at, next_attempt_at, settled_at, closed_at, "
    # Of our own receiver's a receipt says nothing.
    "coalesce(producer, {}) AS producer"
).format(OWN_PRODUCER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A receipt as it stands, without its token; all times in UTC."""

    event_id: UUID
    cashback_id: int
    state: str
    code: int | None
    transaction_id: int | None
    attempts: int
    unconfirmed: bool
    confirmed_by: UUID | None
    last_error: str | None
    received_at: datetime
    credit_cutoff_at: datetime
    deadline_at: datetime
    next_attempt_at: datetime
    settled_at: datetime | None
    closed_at: datetime | None
    producer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """Events, newest first; `next_after` is where the next page begins, None after the last one."""

    events: tuple[Event, ...]
    next_after: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A transaction of a cashback; amounts in minor units of `exponent` digits."""

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
class Cashback:
    """All that is on record about one CashbackId: its events, and what it did to the books."""

    cashback_id: int
    page: EventPage
    transactions: tuple[Transaction, ...]
    entries: tuple[PostedEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events to list: by state, only unconfirmed ones, received at `since` (UTC) or later."""

    state: str | None = None
    unconfirmed: bool = False
    since: datetime | None = None
    after: UUID | None = None


def read_cashback(connection: psycopg.Connection[Any], cashback_id: int, *, limit: int) -> Cashback:
    """Return the events of a CashbackId, at most `limit`, newest first, and its transactions.

    Raises NotFound where there is neither. A CashbackId has one payout and one reversal at most, so only
    its events can be many: each re-submission of BETCORE's is one.
    """
    with snapshot(connection):
        page = _read_page(connection, [sql.SQL("cashback_id = {}").format(cashback_id)], limit=limit)
        with connection.cursor(row_factory=class_row(Transaction)) as cursor:
            cursor.execute(
                "SELECT transaction_id, transactions.kind, cashback_id, transaction_type, event_id, user_id, "
                "currency, exponent, amount_minor, tax_minor, reverses, transactions.created_at "
                "FROM transactions JOIN accounts USING (account_id) JOIN currencies USING (currency) "
                "WHERE cashback_id = %s ORDER BY transaction_id",
                (cashback_id,),
            )
            transactions = tuple(cursor)
        if not page.events and not transactions:
            raise NotFound(f"nothing with CashbackId {cashback_id} is on record")
        with connection.cursor(row_factory=class_row(PostedEntry)) as cursor:
            cursor.execute(
                "SELECT entry_id, transaction_id, account_id, kind AS account_kind, user_id, amount_minor "
                "FROM entries JOIN accounts USING (account_id) "
                "WHERE transaction_id = ANY (%s) ORDER BY entry_id",
                ([transaction.transaction_id for transaction in transactions],),
            )
            entries = tuple(cursor)
    return Cashback(cashback_id=cashback_id, page=page, transactions=transactions, entries=entries)


def list_events(connection: psycopg.Connection[Any], wanted: EventFilter, *, limit: int) -> EventPage:
    """Return a page of at most `limit` events, newest first. Raises NotFound for an unknown `after`.

    Pages are cut by key, not by count: what arrives meanwhile shifts nothing, and page 1000 costs as much
    as page 1.
    """
    with snapshot(connection):
        conditions: list[sql.Composable] = []
        if wanted.unconfirmed:
            conditions.append(sql.SQL("unconfirmed"))
        if wanted.since is not None:
            conditions.append(sql.SQL("received_at >= {}").format(wanted.since))
        if wanted.after is not None:
            received_at = _received_at(connection, wanted.after)
            conditions.append(sql.SQL("(received_at, event_id) < ({}, {})").format(received_at, wanted.after))
        if wanted.state is not None:
            states: Sequence[str] = (wanted.state,)
        else:
            states = () if wanted.unconfirmed else tuple(State)
        return _read_page(connection, conditions, limit=limit, states=states)


def _read_page(
    connection: psycopg.Connection[Any],
    conditions: Sequence[sql.Composable],
    *,
    limit: int,
    states: Sequence[str] = (),
) -> EventPage:
    """Read a page; where `states` are given, each is looked for alone, as no index holds all of them."""
    page = sql.SQL(
        "SELECT {columns} FROM receipts WHERE {conditions} "
        "ORDER BY received_at DESC, event_id DESC LIMIT {limit}"
    )
    # One more than asked for tells whether there is a next page.
    names: dict[str, sql.Composable | int] = {"columns": _EVENT_COLUMNS, "limit": limit + 1}
    looks: list[Sequence[sql.Composable]] = [
        [*conditions, sql.SQL("state = {}").format(state)] for state in states
    ] or [conditions]
    pages = [sql.SQL("({})").format(page.format(conditions=_all_of(look), **names)) for look in looks]
    query = sql.SQL(
        "SELECT * FROM ({pages}) AS pages ORDER BY received_at DESC, event_id DESC LIMIT {limit}"
    ).format(pages=sql.SQL(" UNION ALL ").join(pages), limit=limit + 1)
    with connection.cursor(row_factory=class_row(Event)) as cursor:
        found = cursor.execute(query).fetchall()
    events = tuple(found[:limit])
    return EventPage(events=events, next_after=events[-1].event_id if len(found) > limit else None)


def _all_of(conditions: Sequence[sql.Composable]) -> sql.Composable:
    return sql.SQL(" AND ").join(conditions or [sql.SQL("true")])


def _received_at(connection: psycopg.Connection[Any], event_id: UUID) -> datetime:
    row = connection.execute("SELECT received_at FROM receipts WHERE event_id = %s", (event_id,)).fetchone()
    if row is None:
        raise NotFound(f"no event {event_id} is on record")
    received_at: datetime = row[0]
    return received_at
