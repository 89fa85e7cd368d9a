"""Events that ended without an acknowledgement, orders to replay them, and workers that send these."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import psycopg

from cashback_client.contract import SettleMessage
from tests.support.books import pool_of
from tests.support.handler_bench import Bench
from tests.support.roles import as_role
from tests.support.worker_process import END_SECONDS
from worker.domain.deadline import Backoff
from worker.handling.attempt import Answer
from worker.ledger.database import Database
from worker.replay.sender import Replays
from worker.replay.store import ReplayStore
from worker.schema.roles import OPERATOR

# Whoever waits for an answer looks so often.
_POLL_SECONDS: Final = 0.01
AT_ONCE: Final = Backoff(base_seconds=1e-9, cap_seconds=1e-9)
BOOKS: Final = (
    "SELECT (SELECT json_agg(accounts ORDER BY account_id) FROM accounts)::text,"
    " (SELECT json_agg(transactions ORDER BY transaction_id) FROM transactions)::text,"
    " (SELECT json_agg(entries ORDER BY entry_id) FROM entries)::text"
)


@dataclass(frozen=True, slots=True)
class EndedEvent:
    """An event that was settled and came to a bad end; `answer` is the body of the accept that was its."""

    message: SettleMessage
    answer: Any

    @property
    def event_id(self) -> UUID:
        """The event's id."""
        return self.message.event_id


def ended(
    at: Bench, data: dict[str, object] | None = None, *, state: str = "expired", age_seconds: float = 0.0
) -> EndedEvent:
    """Settle an event of which BETCORE hears nothing, and close it."""
    message = at.message(data, age_seconds=age_seconds)
    came_to = at.handler.handle(message, retries=0)
    assert isinstance(came_to, Answer)
    at.connection.execute("SELECT close_event(%s, %s, 'no answer')", (message.event_id, state))
    return EndedEvent(message, json.loads(came_to.body))


def order(
    database_url: str, event_ids: Sequence[UUID], *, rate: int = 200, person: str = "anna@desk"
) -> tuple[int | None, int | None]:
    """Order a replay as the operator's role; returns the order and for how many events it is."""
    with psycopg.connect(as_role(database_url, OPERATOR), autocommit=True) as operator:
        row = operator.execute(
            "SELECT * FROM order_replay(%s, %s, %s, 'ticket 7')", (list(event_ids), rate, person)
        ).fetchone()
    assert row is not None
    return row[0], row[1]


@contextmanager
def replaying(
    at: Bench,
    database_url: str,
    *,
    lease_seconds: float = 600.0,
    window_seconds: float = 600.0,
    max_tries: int = 5,
) -> Iterator[Replays]:
    """Build what sends replays, as a worker has it; a test calls its rounds."""
    with pool_of(database_url) as pool:
        store = ReplayStore(
            Database(pool, timeout_seconds=30),
            lease_seconds=lease_seconds,
            window_seconds=window_seconds,
            max_tries=max_tries,
        )
        yield Replays(store, at.answering, backoff=AT_ONCE, attempt_seconds=600.0, random=lambda: 0.5)


def replay_of(at: Bench, event_id: UUID) -> tuple[Any, ...]:
    """Return state, tries, accepts and error of an event's last replay."""
    row = at.connection.execute(
        "SELECT state, tries, sent, error FROM replays WHERE event_id = %s ORDER BY replay_id DESC LIMIT 1",
        (event_id,),
    ).fetchone()
    assert row is not None
    return tuple(row)


def open_replays(at: Bench) -> int:
    """Count the replays that have not ended."""
    row = at.connection.execute("SELECT count(*) FROM replays WHERE state = 'open'").fetchone()
    assert row is not None
    return int(row[0])


def run_until_ended(at: Bench, *workers: Replays) -> None:
    """Have workers do their rounds until no replay is open."""
    ends_at = time.monotonic() + END_SECONDS
    while open_replays(at):
        assert time.monotonic() < ends_at, "replays do not end"
        for each in workers:
            each.round()
        time.sleep(_POLL_SECONDS)


def books(connection: psycopg.Connection) -> tuple[Any, ...]:
    """Return all accounts, transactions and entries, as text."""
    row = connection.execute(BOOKS).fetchone()
    assert row is not None
    return tuple(row)


def outcomes(at: Bench) -> dict[str, float]:
    """Return what was counted of replays that ended, by outcome."""
    return {
        sample.labels["outcome"]: sample.value
        for metric in at.handler.metrics.replays.collect()
        for sample in metric.samples
        if sample.name == "cashback_replays_total"
    }
