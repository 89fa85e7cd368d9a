"""Orders to replay: given, and looked at until they have ended."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from worker.errors import NotFound

_POLL_SECONDS: Final = 0.5
MAX_FAILURES: Final = 1_000
"""The most replays that are named of those that failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How many replays of an order are open, and what came of the others."""

    open: int
    answered: int
    failed: int

    @property
    def events(self) -> int:
        """All events of the order."""
        return self.open + self.answered + self.failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order: who gave it, when, why, and how fast it goes, in events a second."""

    order_id: int
    ordered_at: datetime
    database_user: str
    person: str
    reason: str
    rate: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A replay that came to nothing: what BETCORE said last, if anything, after so many accepts."""

    event_id: UUID
    error: str | None
    tries: int
    sent: int


def give_order(
    connection: psycopg.Connection[Any], event_ids: Sequence[UUID], *, rate: int, person: str, reason: str
) -> int | None:
    """Order that these events are sent again; return the order, None where none of them is to be any more."""
    row = connection.execute(
        "SELECT order_id FROM order_replay(%s, %s, %s, %s)", (list(event_ids), rate, person, reason)
    ).fetchone()
    return None if row is None else row[0]


def read_order(connection: psycopg.Connection[Any], order_id: int) -> Order:
    """Return an order. Raises NotFound."""
    with connection.cursor(row_factory=class_row(Order)) as cursor:
        order = cursor.execute(
            "SELECT order_id, ordered_at, database_user::text, person, reason, rate FROM replay_orders "
            "WHERE order_id = %s",
            (order_id,),
        ).fetchone()
    if order is None:
        raise NotFound(f"no order {order_id} is on record; `cashback audit list --action replay` lists them")
    return order


def progress_of(connection: psycopg.Connection[Any], order_id: int) -> Progress:
    """Return how far an order has come."""
    rows = connection.execute(
        "SELECT state, count(*) FROM replays WHERE order_id = %s GROUP BY state", (order_id,)
    ).fetchall()
    counts = dict(rows)
    return Progress(
        open=counts.get("open", 0), answered=counts.get("answered", 0), failed=counts.get("failed", 0)
    )


def wait_for_end(
    connection: psycopg.Connection[Any],
    order_id: int,
    *,
    wait_seconds: float,
    told: Callable[[Progress], None],
) -> Progress:
    """Look at an order until it has ended, or for `wait_seconds`; `told` hears of each look."""
    ends_at = time.monotonic() + wait_seconds
    while True:
        progress = progress_of(connection, order_id)
        told(progress)
        left_seconds = ends_at - time.monotonic()
        if not progress.open or left_seconds <= 0:
            return progress
        time.sleep(min(_POLL_SECONDS, left_seconds))


def failures_of(connection: psycopg.Connection[Any], order_id: int) -> tuple[Failure, ...]:
    """Return the replays of an order that failed, the first ones where they are very many."""
    with connection.cursor(row_factory=class_row(Failure)) as cursor:
        cursor.execute(
            "SELECT event_id, error, tries, sent FROM replays WHERE order_id = %s AND state = 'failed' "
            "ORDER BY replay_id LIMIT %s",
            (order_id, MAX_FAILURES),
        )
        return tuple(cursor)
