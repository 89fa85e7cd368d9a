"""The sweeper: what is overdue goes back onto the queue, or is settled at once where there is none."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, NoReturn
from uuid import UUID

import psycopg
import pytest
from structlog.testing import capture_logs

from cashback_client.contract import SettleMessage
from tests.support.books import pool_of
from tests.support.handler_bench import bench
from tests.support.raw_betcore import reply
from tests.support.sweeping import overdue_message, sweeping
from worker.errors import LedgerUnavailable
from worker.handling.answering import Answering
from worker.handling.handler import Handler
from worker.ledger.database import Database
from worker.quarantine.writer import QuarantineStore
from worker.recovery.broker import BrokerUnavailable, Found
from worker.recovery.overdue import OverdueReceipts
from worker.recovery.retention import Keep, Retention
from worker.recovery.upkeep import Job, Upkeep

NOTHING_FOUND = Found(held=frozenset(), queued=frozenset(), is_complete=True)


@dataclass
class Queue:
    """A queue that notes what is put into it, and that can be away."""

    head: list[UUID] | None = None
    is_away: bool = False
    fails_after: int | None = None
    found: Found = NOTHING_FOUND
    published: list[SettleMessage] = field(default_factory=list)

    def at_head(self, _queue: str = "") -> list[UUID] | None:
        if self.is_away:
            raise BrokerUnavailable
        return self.head

    def head_of(self, queue: str) -> bytes | None:
        raise NotImplementedError

    def still_has(self, queue: str, entry: bytes) -> bool:
        raise NotImplementedError

    def find(self, event_ids: Sequence[UUID]) -> Found:
        assert event_ids
        return self.found

    def publish(self, message: SettleMessage, **_: object) -> None:
        if self.fails_after is not None and len(self.published) >= self.fails_after:
            raise BrokerUnavailable
        self.published.append(message)

    def put_first(self, message: SettleMessage, **_: object) -> None:
        raise NotImplementedError

    def ask(self, question: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - what Redis replies
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is open."""


def test_what_is_overdue_goes_back_onto_the_queue(database_url: str) -> None:
    queue = Queue()
    with bench(database_url, reply(200)) as at, sweeping(at, database_url, queue) as sweeper:
        message = overdue_message(at, 1)

        assert not sweeper.sweep()

        assert [one.event_id for one in queue.published] == [message.event_id]
        assert queue.published[0].received_at_ms == message.received_at_ms
        assert at.accepts() == []


def test_where_not_all_could_be_looked_at_an_event_may_be_there_and_waits(database_url: str) -> None:
    queue = Queue(found=replace(NOTHING_FOUND, is_complete=False))
    with bench(database_url, reply(200)) as at, sweeping(at, database_url, queue) as sweeper:
        overdue_message(at, 1)

        assert not sweeper.sweep()

        assert queue.published == []
        assert at.accepts() == []


def test_without_a_broker_events_are_settled_and_answered_straight_from_their_receipts(
    database_url: str,
) -> None:
    queue = Queue(is_away=True)
    with bench(database_url, reply(200)) as at, sweeping(at, database_url, queue) as sweeper:
        messages = [overdue_message(at, number) for number in range(1, 4)]

        assert sweeper.sweep()
        assert not sweeper.sweep()

        at.await_accepts(3)
        assert [(at.receipt(message) or ())[1] for message in messages] == [200, 200, 200]


def test_a_broker_that_fails_half_way_leaves_no_claimed_event_without_a_run(database_url: str) -> None:
    queue = Queue(fails_after=1)
    with bench(database_url, reply(200)) as at, sweeping(at, database_url, queue) as sweeper:
        for number in range(1, 4):
            overdue_message(at, number)

        sweeper.sweep()

        assert len(queue.published) == 1
        at.await_accepts(2)


def test_a_flood_is_one_log_line_for_all_that_was_done_with_the_first_ids(database_url: str) -> None:
    queue = Queue(fails_after=12)
    with bench(database_url, reply(200)) as at, sweeping(at, database_url, queue, limit=20) as sweeper:
        messages = [overdue_message(at, number) for number in range(1, 16)]

        with capture_logs() as logs:
            sweeper.sweep()

    (line,) = (line for line in logs if line["event"] == "swept")
    assert (line["republished"], line["settled_directly"]) == (12, 3)
    assert len(line["event_ids"]) == 10
    assert set(line["event_ids"]) <= {str(one.event_id) for one in messages}
    assert line["steps"] == {"Answer": 3}
    assert not any("event_id" in line for line in logs)


def test_sweep_after_sweep_of_one_round_is_told_in_one_line(database_url: str) -> None:
    with (
        bench(database_url, reply(200)) as at,
        sweeping(at, database_url, Queue(is_away=True), limit=2) as sweeper,
    ):
        for number in range(1, 8):
            overdue_message(at, number)
        stopping = threading.Event()
        upkeep = Upkeep([Job(name="stop", every_seconds=1e6, run=stopping.set)], monotonic=time.monotonic)

        with capture_logs() as logs:
            replace(sweeper, upkeep=upkeep).run(stopping)

    assert [line["settled_directly"] for line in logs if line["event"] == "swept"] == [7]
    assert [line["job"] for line in logs if line["event"] == "sweep_failed"] == ["broker"]


def test_what_fails_is_said_when_it_begins_and_when_it_ends(database_url: str) -> None:
    queue = Queue(is_away=True)
    with (
        bench(database_url, reply(200)) as at,
        sweeping(at, database_url, queue) as sweeper,
        capture_logs() as logs,
    ):
        for _ in range(5):
            sweeper.sweep()
        queue.is_away = False
        sweeper.sweep()
        queue.is_away = True
        sweeper.sweep()

    told = [(line["event"], line["job"]) for line in logs]
    assert told == [("sweep_failed", "broker"), ("sweep_works_again", "broker"), ("sweep_failed", "broker")]


def test_a_round_that_always_finds_more_gives_way_to_what_else_is_to_be_done(database_url: str) -> None:
    with (
        bench(database_url, reply(200)) as at,
        sweeping(at, database_url, Queue(is_away=True), limit=1) as sweeper,
    ):
        for number in range(1, 10):
            overdue_message(at, number)
        stopping = threading.Event()
        upkeep = Upkeep([Job(name="stop", every_seconds=1e6, run=stopping.set)], monotonic=time.monotonic)
        clock = count(0, 2)

        # Given a clock by which each sweep takes two seconds,
        replace(sweeper, upkeep=upkeep, monotonic=lambda: float(next(clock))).run(stopping)

        # then one round has three of them; their accepts are sent beside it.
        with psycopg.connect(database_url) as connection:
            settled = connection.execute("SELECT count(*) FROM receipts WHERE state <> 'received'").fetchone()
        assert settled == (3,)


def test_what_cannot_be_settled_is_named_once_with_the_first_reason(database_url: str) -> None:
    class Failing(Handler):
        def handle(self, *_: object, **__: object) -> NoReturn:
            raise RuntimeError("unforeseen")

    with bench(database_url, reply(200)) as at, sweeping(at, database_url, Queue(is_away=True)) as sweeper:
        messages = [overdue_message(at, number) for number in range(1, 4)]
        broken = object.__new__(Answering)
        broken.handler = object.__new__(Failing)
        failing = replace(sweeper, answering=broken)

        with capture_logs() as logs:
            assert failing.sweep()

    (line,) = (line for line in logs if line["event"] == "direct_settlement_failed")
    assert (line["log_level"], line["events"]) == ("error", 3)
    assert set(line["event_ids"]) == {str(message.event_id) for message in messages}
    assert isinstance(line["exc_info"], RuntimeError)


def test_the_sweeper_goes_on_after_a_sweep_that_failed(database_url: str) -> None:
    with bench(database_url, reply(200)) as at, sweeping(at, database_url, Queue(is_away=True)) as sweeper:
        overdue_message(at, 1)
        stopping = threading.Event()
        calls: list[int] = []

        class Failing(OverdueReceipts):
            def give_up(self) -> int:
                calls.append(1)
                if len(calls) == 1:
                    raise RuntimeError("unforeseen")
                if len(calls) > 3:
                    stopping.set()
                return 0

        with pool_of(database_url) as pool:
            failing = Failing(
                Database(pool, timeout_seconds=30),
                limit=10,
                hold_seconds=60.0,
                hurry_seconds=5.0,
                cutoff_seconds=600.0,
            )
            replace(sweeper, overdue=failing).run(stopping)

        at.await_accepts(1)


@pytest.mark.parametrize(
    "error",
    [LedgerUnavailable("PostgreSQL: too slow"), RuntimeError("unforeseen")],
    ids=["away", "unforeseen"],
)
@pytest.mark.parametrize("job", ["give_up", "expire"])
def test_a_job_that_fails_with_each_sweep_is_named_and_keeps_no_event_from_going_on(
    database_url: str, monkeypatch: pytest.MonkeyPatch, job: str, error: Exception
) -> None:
    queue = Queue()
    with bench(database_url, reply(200)) as at, sweeping(at, database_url, queue) as sweeper:
        message = overdue_message(at, 1)

        def fail(_: OverdueReceipts) -> NoReturn:
            raise error

        monkeypatch.setattr(OverdueReceipts, job, fail)
        with capture_logs() as logs:
            sweeper.sweep()

        assert [one.event_id for one in queue.published] == [message.event_id]
        assert [log["job"] for log in logs if log["event"] == "sweep_failed"] == [job]


def test_a_sweep_that_fails_each_time_holds_up_neither_upkeep_nor_retention(database_url: str) -> None:
    with bench(database_url, reply(200)) as at, sweeping(at, database_url, Queue()) as sweeper:
        stopping = threading.Event()
        done: list[str] = []

        class Failing(OverdueReceipts):
            def give_up(self) -> int:
                raise LedgerUnavailable("PostgreSQL: too slow")

        class Noted(Retention):
            def prune(self) -> int:
                done.append("pruned")
                stopping.set()
                return 0

        with pool_of(database_url) as pool:
            database = Database(pool, timeout_seconds=30)
            failing = Failing(database, limit=10, hold_seconds=60.0, hurry_seconds=5.0, cutoff_seconds=600.0)
            noted = Noted(
                database,
                QuarantineStore(database),
                keep=Keep(
                    receipts_seconds=1e6, tokens_seconds=1e6, quarantine_seconds=1e6, quarantine_rows=10
                ),
                monotonic=time.monotonic,
            )
            upkeep = Upkeep(
                [Job(name="noted", every_seconds=1e6, run=lambda: done.append("kept up"))],
                monotonic=time.monotonic,
            )
            replace(sweeper, overdue=failing, retention=noted, upkeep=upkeep).run(stopping)

        assert done == ["kept up", "pruned"]
