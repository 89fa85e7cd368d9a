"""Events as they end, by looking again and again: a bounded part of an index each time, and no LISTEN.

No index holds events by the time of their end: each event would write to it (decision 23). The newest of
each state are looked at by the time of their receipt, and those that have ended since are new.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from cashback_client.contract import OWN_PRODUCER
from worker.cli.queries.events.listing import EVENT_COLUMNS, Event
from worker.cli.queries.snapshot import snapshot
from worker.domain.settlement import State

if TYPE_CHECKING:
    from uuid import UUID

MAX_EVENTS: Final = 2_000
"""How many events of each state one look reads, newest first."""

# A time is written before it is committed, and seen after it.
_OVERLAP: Final = timedelta(seconds=10)
_ENDED: Final = (State.ANSWERED, State.REFUSED, State.EXPIRED)


class _Way(NamedTuple):
    """How the newest of a state are found, and since when they have been in it."""

    order: sql.SQL
    moment: sql.SQL


_BY_RECEIPT: Final = _Way(sql.SQL("received_at"), sql.SQL("closed_at"))
_WAYS: Final = {
    State.RECEIVED: _Way(sql.SQL("credit_cutoff_at"), sql.SQL("received_at")),
    State.SETTLED: _Way(
        sql.SQL("greatest(least(next_attempt_at, deadline_at), settled_at)"), sql.SQL("settled_at")
    ),
    **dict.fromkeys(_ENDED, _BY_RECEIPT),
}
# A planner that takes the table for empty would as soon gather all and sort them. Said in the transaction:
# behind a pooler the next one may be in another session.
_BEGIN: Final = (
    "SELECT clock_timestamp() FROM (SELECT set_config('enable_bitmapscan', 'off', true), "
    "set_config('enable_seqscan', 'off', true)) AS settings"
)
# Cut off is what has as many as are read, where an older one has ended since as well, or may end now.
_LOOK: Final = sql.SQL(
    "SELECT {columns}, {moment} AS moment, is_cut FROM (SELECT newest.*, "
    "count(*) OVER () = {limit} AND first_value({moment} >= {since} OR deadline_at > {now}) "
    "OVER (ORDER BY received_at) AS is_cut "
    "FROM (SELECT * FROM receipts WHERE {condition} ORDER BY {order} DESC LIMIT {limit}) AS newest) AS seen "
    "WHERE {moment} >= {since} AND {filter}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveEvent(Event):
    """An event that came to its state at `moment`; `is_cut`: of its state others may be missing."""

    moment: datetime
    is_cut: bool

    @property
    def plain(self) -> Event:
        """The event as it stands, without how it was found."""
        return Event(**{field.name: getattr(self, field.name) for field in fields(Event)})


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFilter:
    """Which events to follow: in one of these states, only unconfirmed ones, only of this producer."""

    states: Sequence[State] = _ENDED
    unconfirmed: bool = False
    producer: str | None = None

    @staticmethod
    def states_of(state: str | None) -> Sequence[State]:
        """Return one state, or all of those in which an event has ended."""
        return _ENDED if state is None else (State(state),)


class Live:
    """What has come to its state since the last look, each event once in each state."""

    def __init__(self, wanted: LiveFilter, *, since: datetime | None) -> None:
        """Begin at `since` (UTC), or at the first look."""
        self._wanted = wanted
        self._begin = since
        self._since = since
        self._seen: dict[tuple[UUID, str], datetime] = {}

    def look(self, connection: psycopg.Connection[Any]) -> list[LiveEvent]:
        """Return what is new, in the order in which it happened."""
        with snapshot(connection), connection.cursor(row_factory=class_row(LiveEvent)) as cursor:
            [(now,)] = connection.execute(_BEGIN, prepare=False).fetchall()
            self._begin = self._begin or now
            since = self._since or now
            found = cursor.execute(self._query(since, now), prepare=False).fetchall()
        new = [event for event in found if (event.event_id, event.state) not in self._seen]
        self._seen.update({(event.event_id, event.state): event.moment for event in new})
        self._since = max(self._begin, now - _OVERLAP)
        self._seen = {key: moment for key, moment in self._seen.items() if moment >= self._since}
        return sorted(new, key=lambda event: event.moment)

    def _query(self, since: datetime, now: datetime) -> sql.Composed:
        wanted = self._wanted
        if wanted.unconfirmed:
            # They have an index of their own, of all states in which they can be.
            looks = [self._look(_BY_RECEIPT, sql.SQL("unconfirmed"), wanted.states, since, now)]
        else:
            looks = [
                self._look(_WAYS[state], sql.SQL("state = {}").format(state), (state,), since, now)
                for state in wanted.states
            ]
        return sql.SQL(" UNION ALL ").join(looks)

    def _look(
        self, way: _Way, condition: sql.Composable, states: Sequence[State], since: datetime, now: datetime
    ) -> sql.Composed:
        filters: list[sql.Composable] = [sql.SQL("state = ANY ({})").format([str(state) for state in states])]
        if self._wanted.producer is not None:
            filters.append(sql.SQL("coalesce(producer, {}) = {}").format(OWN_PRODUCER, self._wanted.producer))
        return sql.SQL("({})").format(
            _LOOK.format(
                columns=EVENT_COLUMNS,
                moment=way.moment,
                order=way.order,
                condition=condition,
                filter=sql.SQL(" AND ").join(filters),
                limit=MAX_EVENTS,
                since=since,
                now=now,
            )
        )
