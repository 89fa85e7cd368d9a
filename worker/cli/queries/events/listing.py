"""What an operator looks at of events: pages of receipts, each filter by an index."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from cashback_client.contract import OWN_PRODUCER
from worker.cli.queries.snapshot import snapshot
from worker.cli.shared.event_filter import SUCCESS, EventFilter
from worker.domain.settlement import State
from worker.errors import NotFound

__all__ = ["EVENT_COLUMNS", "Event", "EventFilter", "EventPage", "every_page", "list_events", "read_page"]

_DECIDED: Final = (State.ANSWERED, State.REFUSED, State.EXPIRED, State.SETTLED)
_DECLINED: Final = sql.SQL("code <> 200")
# A credit is found by its user's entries: an index of receipts by user would be written with each of them.
_CREDITED: Final = sql.SQL(
    "code = 200 AND event_id IN (SELECT transactions.event_id FROM accounts JOIN entries USING (account_id) "
    "JOIN transactions USING (transaction_id) WHERE accounts.user_id = {})"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A receipt as it stands, without its token; all times in UTC, `amount` in major units."""

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
    user_id: str | None
    transaction_type: int | None
    amount: Decimal | None


EVENT_COLUMNS: Final = sql.SQL(", ").join(
    # Of our own receiver's a receipt says nothing.
    sql.SQL("coalesce(producer, {}) AS producer").format(OWN_PRODUCER)
    if field.name == "producer"
    else sql.Identifier(field.name)
    for field in fields(Event)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """Events, newest first; `next_after` is where the next page begins, None after the last one."""

    events: tuple[Event, ...]
    next_after: UUID | None


def list_events(connection: psycopg.Connection[Any], wanted: EventFilter, *, limit: int) -> EventPage:
    """Return a page of at most `limit` events, newest first. Raises NotFound for an unknown `after`.

    Pages are cut by key, not by count: what arrives meanwhile shifts nothing, and page 1000 costs as much
    as page 1.
    """
    with snapshot(connection):
        conditions = _conditions(wanted)
        if wanted.after is not None:
            received_at = _received_at(connection, wanted.after)
            conditions.append(sql.SQL("(received_at, event_id) < ({}, {})").format(received_at, wanted.after))
        return read_page(connection, [[*conditions, *look] for look in _looks(wanted)], limit=limit)


def every_page(
    connection: psycopg.Connection[Any], wanted: EventFilter, *, limit: int
) -> Iterator[EventPage]:
    """Give one page after the other, each by a look of its own, up to the last one."""
    while True:
        page = list_events(connection, wanted, limit=limit)
        yield page
        if page.next_after is None:
            return
        wanted = replace(wanted, after=page.next_after)


def read_page(
    connection: psycopg.Connection[Any], looks: Sequence[Sequence[sql.Composable]], *, limit: int
) -> EventPage:
    """Read a page of what any of these looks finds, each the conditions that all hold."""
    page = sql.SQL(
        "SELECT {columns} FROM receipts WHERE {conditions} "
        "ORDER BY received_at DESC, event_id DESC LIMIT {limit}"
    )
    # One more than asked for tells whether there is a next page.
    names: dict[str, sql.Composable | int] = {"columns": EVENT_COLUMNS, "limit": limit + 1}
    pages = [sql.SQL("({})").format(page.format(conditions=_all_of(look), **names)) for look in looks]
    query = sql.SQL(
        "SELECT * FROM ({pages}) AS pages ORDER BY received_at DESC, event_id DESC LIMIT {limit}"
    ).format(pages=sql.SQL(" UNION ALL ").join(pages), limit=limit + 1)
    with connection.cursor(row_factory=class_row(Event)) as cursor:
        # Never prepared: it is another text each time, and a pooler may give the next one another backend.
        found = cursor.execute(query, prepare=False).fetchall()
    events = tuple(found[:limit])
    return EventPage(events=events, next_after=events[-1].event_id if len(found) > limit else None)


def _conditions(wanted: EventFilter) -> list[sql.Composable]:
    """Return what must hold of every event, whichever way it is looked for."""
    conditions: list[sql.Composable] = []
    for condition, value in (
        ("code = {}", wanted.code),
        ("producer = {}", None if wanted.producer == OWN_PRODUCER else wanted.producer),
        ("transaction_type = {}", wanted.transaction_type),
        ("position(lower({}) IN lower(last_error)) > 0", wanted.error),
        ("received_at >= {}", wanted.since),
        ("received_at < {}", wanted.until),
    ):
        if value is not None:
            conditions.append(sql.SQL(condition).format(value))
    if wanted.producer == OWN_PRODUCER:
        conditions.append(sql.SQL("producer IS NULL"))
    return conditions


def _looks(wanted: EventFilter) -> list[list[sql.Composable]]:
    """Return the looks that find the events, each by an index of its own: none holds all states."""
    if wanted.cashback_id is not None or wanted.unconfirmed:
        return [_narrow(wanted)]
    states = tuple(State) if wanted.state is None else (State(wanted.state),)
    if wanted.code is not None:
        states = tuple(state for state in states if state is not State.RECEIVED)
    by_state: list[list[sql.Composable]] = [[sql.SQL("state = {}").format(state)] for state in states]
    if wanted.user_id is None:
        return by_state or [[sql.SQL("false")]]
    return _looks_for_user(wanted, wanted.user_id, states)


def _narrow(wanted: EventFilter) -> list[sql.Composable]:
    """Return one look, for what few events can be."""
    conditions: list[sql.Composable] = []
    if wanted.unconfirmed:
        conditions.append(sql.SQL("unconfirmed"))
    for column, value in (
        ("cashback_id", wanted.cashback_id),
        ("user_id", wanted.user_id),
        ("state", wanted.state),
    ):
        if value is not None:
            conditions.append(sql.SQL("{} = {}").format(sql.Identifier(column), value))
    return conditions


def _looks_for_user(wanted: EventFilter, user_id: str, states: Sequence[State]) -> list[list[sql.Composable]]:
    of_user = sql.SQL("user_id = {}").format(user_id)
    looks: list[list[sql.Composable]] = [[sql.SQL("false")]]
    if wanted.code in {None, SUCCESS}:
        decided = [str(state) for state in states if state in _DECIDED]
        looks.append([_CREDITED.format(user_id), sql.SQL("state = ANY ({})").format(decided)])
    if wanted.code != SUCCESS:
        for state in states:
            declined = [] if state is State.RECEIVED else [_DECLINED]
            looks.append([sql.SQL("state = {}").format(state), of_user, *declined])
    return looks


def _all_of(conditions: Sequence[sql.Composable]) -> sql.Composable:
    return sql.SQL(" AND ").join(conditions or [sql.SQL("true")])


def _received_at(connection: psycopg.Connection[Any], event_id: UUID) -> datetime:
    row = connection.execute("SELECT received_at FROM receipts WHERE event_id = %s", (event_id,)).fetchone()
    if row is None:
        raise NotFound(f"no event {event_id} is on record")
    received_at: datetime = row[0]
    return received_at
