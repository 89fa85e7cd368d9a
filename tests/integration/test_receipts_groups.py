"""Many receipts in one statement, on a real PostgreSQL: what they share, and what they must not share."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from deploy.local.postgres import PostgresServer
from deploy.local.processes import wait_until
from producer.contract import SettleMessage
from producer.errors import CopyFailed, CopyTimedOut
from producer.event import ReceivedEvent
from producer.receipts import MAX_GROUP_SIZE, Receipts

RECORD = "SELECT record_receipts(%b, %s, %s, %s, 15, 30, 3)"


def event(number: int, *, cashback_id: int = 1, ahead_seconds: int = 0) -> ReceivedEvent:
    received_at_ms = (time.time_ns() // 1_000_000_000 + ahead_seconds) * 1000
    message = SettleMessage(token=f"head.payload.{number}", received_at_ms=received_at_ms)
    return ReceivedEvent(message, message.event_id, cashback_id, "")


def with_receipts(
    database_url: str,
    work: Callable[[Receipts], Awaitable[None]],
    *,
    timeout_seconds: float = 10,
    pool_size: int = 4,
) -> None:
    async def run() -> None:
        receipts = Receipts(
            database_url,
            pool_size=pool_size,
            max_waiting=1000,
            timeout_seconds=timeout_seconds,
            cutoff_seconds=15,
            deadline_seconds=30,
        )
        await receipts.open()
        try:
            await work(receipts)
        finally:
            await receipts.close()

    asyncio.run(run())


def recorded_together(
    database_url: str, events: list[ReceivedEvent], *, timeout_seconds: float = 10
) -> list[object]:
    """Record all of these at once; return what came of each."""
    outcomes: list[object] = []

    async def work(receipts: Receipts) -> None:
        # The first one makes the connection, and the rest meet while it does.
        futures = [receipts.record(each) for each in events]
        outcomes.extend(await asyncio.gather(*futures, return_exceptions=True))

    with_receipts(database_url, work, timeout_seconds=timeout_seconds)
    return outcomes


def ids_in(database_url: str) -> set[object]:
    with psycopg.connect(database_url) as connection:
        return {row[0] for row in connection.execute("SELECT event_id FROM receipts").fetchall()}


def record_as_another(connection: psycopg.Connection, *events: ReceivedEvent) -> None:
    """Record these in this order, as another receiver would."""
    connection.execute(
        RECORD,
        (
            [each.event_id for each in events],
            [each.message.token for each in events],
            [each.cashback_id for each in events],
            [each.message.received_at_ms for each in events],
        ),
    )


@contextmanager
def held_by_another(database_url: str, held: ReceivedEvent) -> Iterator[psycopg.Connection]:
    """Let another session record an event and not come to its end before it is rolled back."""
    with psycopg.connect(database_url) as other:
        record_as_another(other, held)
        yield other
        other.rollback()


def waiting_sessions(database_url: str) -> list[int]:
    """Return the process ids of the sessions that wait for somebody else's row."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchall()
    return [row[0] for row in rows]


def test_those_who_wait_share_a_transaction_up_to_the_limit(database_url: str) -> None:
    assert recorded_together(database_url, [event(number) for number in range(350)]) == [True] * 350

    with psycopg.connect(database_url) as connection:
        sizes = [
            row[0]
            for row in connection.execute("SELECT count(*) FROM receipts GROUP BY xmin::text").fetchall()
        ]
    assert sum(sizes) == 350
    assert max(sizes) == MAX_GROUP_SIZE
    assert len(sizes) == 4


@pytest.mark.parametrize("bad_id", [-1, 0, 2**63, 2**70])
def test_a_row_that_cannot_be_stored_fails_alone(database_url: str, bad_id: int) -> None:
    events = [event(number, cashback_id=bad_id if number == 7 else 1) for number in range(20)]

    outcomes = recorded_together(database_url, events)

    assert isinstance(outcomes.pop(7), Exception)
    assert outcomes == [True] * 19
    assert ids_in(database_url) == {each.event_id for each in events} - {events[7].event_id}


def test_a_refused_row_is_a_failed_copy_that_says_why(database_url: str) -> None:
    _, bad = recorded_together(database_url, [event(1), event(2, cashback_id=-1)])

    assert isinstance(bad, CopyFailed)
    assert "CheckViolation" in str(bad)


def test_a_row_that_somebody_else_holds_times_out_alone(database_url: str) -> None:
    events = [event(number) for number in range(20)]
    with held_by_another(database_url, events[7]):
        outcomes = recorded_together(database_url, events, timeout_seconds=4)

    assert isinstance(outcomes.pop(7), CopyTimedOut)
    assert outcomes == [True] * 19


def test_a_token_that_comes_several_times_at_once_is_new_once(database_url: str) -> None:
    events = [event(number % 5) for number in range(50)]

    outcomes = recorded_together(database_url, events)

    assert [outcomes[number::5].count(True) for number in range(5)] == [1] * 5
    assert outcomes.count(False) == 45
    assert recorded_together(database_url, events) == [False] * 50
    assert len(ids_in(database_url)) == 5


def test_of_a_token_that_comes_twice_at_once_the_earlier_receipt_counts(database_url: str) -> None:
    late, early = event(1), event(1, ahead_seconds=-3)

    recorded_together(database_url, [late, early])

    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT extract(epoch FROM received_at) * 1000 FROM receipts").fetchone()
    assert row == (early.message.received_at_ms,)


def test_in_a_group_too_a_clock_that_runs_ahead_gains_no_time(database_url: str) -> None:
    recorded_together(database_url, [event(1), event(2, ahead_seconds=3600), event(3)])

    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT DISTINCT received_at <= clock_timestamp(), "
            "extract(epoch FROM deadline_at - received_at), "
            "extract(epoch FROM credit_cutoff_at - received_at), "
            "extract(epoch FROM next_attempt_at - received_at) FROM receipts"
        ).fetchall()
    assert rows == [(True, 30, 15, 3)]


def test_two_groups_with_the_same_events_in_another_order_never_block_each_other(database_url: str) -> None:
    low, middle, high = sorted((event(number) for number in range(3)), key=lambda each: each.event_id)
    errors: list[Exception] = []

    def record(*events: ReceivedEvent) -> None:
        try:
            with psycopg.connect(database_url) as connection:
                record_as_another(connection, *events)
        except psycopg.Error as error:
            errors.append(error)

    # Both come to a halt behind the one that is held, each with what it has taken before.
    with held_by_another(database_url, middle):
        groups = [
            threading.Thread(target=record, args=each) for each in ((high, middle, low), (low, middle, high))
        ]
        for group in groups:
            group.start()
        wait_until(
            lambda: len(waiting_sessions(database_url)) == len(groups),
            what="both groups wait",
            timeout_seconds=20,
        )
    for group in groups:
        group.join()

    assert errors == []
    assert ids_in(database_url) == {low.event_id, middle.event_id, high.event_id}


def test_a_connection_that_is_cut_in_the_middle_of_a_group_costs_nobody_the_receipt(
    database_url: str,
) -> None:
    events = [event(number) for number in range(20)]
    outcomes: list[object] = []

    async def work(receipts: Receipts) -> None:
        with held_by_another(database_url, events[7]) as other:
            futures = [receipts.record(each) for each in events]
            await asyncio.to_thread(
                wait_until,
                lambda: bool(waiting_sessions(database_url)),
                what="the group waits",
                timeout_seconds=20,
            )
            (pid,) = waiting_sessions(database_url)
            other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        outcomes.extend(await asyncio.gather(*futures, return_exceptions=True))

    with_receipts(database_url, work, timeout_seconds=20)

    assert outcomes == [True] * 20
    assert ids_in(database_url) == {each.event_id for each in events}


def test_a_server_that_freezes_in_the_middle_is_no_false_success(
    database_url: str, postgres_server: PostgresServer
) -> None:
    events = [event(number) for number in range(400)]
    outcomes: list[object] = []

    async def work(receipts: Receipts) -> None:
        futures = [receipts.record(each) for each in events[:200]]
        await futures[0]
        postgres_server.freeze()
        try:
            futures += [receipts.record(each) for each in events[200:300]]
            outcomes.extend(await asyncio.gather(*futures, return_exceptions=True))
        finally:
            postgres_server.thaw()
        outcomes.extend(await asyncio.gather(*(receipts.record(each) for each in events[300:])))

    with_receipts(database_url, work, timeout_seconds=1.5)

    stored = ids_in(database_url)
    assert outcomes[0] is True
    assert outcomes[200:300] != [True] * 100
    assert outcomes[300:] == [True] * 100
    for each, outcome in zip(events, outcomes, strict=True):
        assert (outcome is True and each.event_id in stored) or isinstance(outcome, CopyTimedOut)


def test_a_connection_that_hangs_is_given_up_and_replaced(database_url: str) -> None:
    async def work(receipts: Receipts) -> None:
        assert await receipts.record(event(1))
        hung = sessions_of_receivers(database_url)
        for pid in hung:
            os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(CopyTimedOut):
                await receipts.record(event(2))
            assert await receipts.record(event(3))
        finally:
            for pid in hung:
                os.kill(pid, signal.SIGCONT)

    with_receipts(database_url, work, timeout_seconds=1.5, pool_size=1)


def sessions_of_receivers(database_url: str) -> list[int]:
    """Return the process ids of the sessions of `Receipts`; the server is on this machine."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'cashback-receiver'"
        ).fetchall()
    return [row[0] for row in rows]


def test_a_caller_that_goes_away_leaves_its_receipt_and_its_group_alone(database_url: str) -> None:
    events = [event(number) for number in range(20)]

    async def work(receipts: Receipts) -> None:
        futures = [receipts.record(each) for each in events]
        futures[7].cancel()
        rest = [future for future in futures if not future.cancelled()]
        assert await asyncio.gather(*rest) == [True] * 19

    with_receipts(database_url, work)

    assert ids_in(database_url) == {each.event_id for each in events}
