"""Groups of receipts while something is wrong with PostgreSQL, or with one of their rows."""

import asyncio
import os
import signal
import threading

import psycopg
import pytest

from deploy.local.postgres import PostgresServer
from deploy.local.processes import wait_until
from producer.copies.errors import CopyTimedOut
from producer.copies.event import ReceivedEvent
from producer.copies.receipts.recording import Receipts
from tests.support.futures import end_of
from tests.support.receipts import (
    event,
    held_by_another,
    ids_in,
    record_as_another,
    recorded_together,
    waiting_sessions,
    with_receipts,
)


def test_a_row_that_somebody_else_holds_times_out_alone(database_url: str) -> None:
    events = [event(number) for number in range(20)]
    with held_by_another(database_url, events[7]):
        outcomes = recorded_together(database_url, events, timeout_seconds=10)

    assert isinstance(outcomes.pop(7), CopyTimedOut)
    assert outcomes == [None] * 19


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
            timeout_seconds=120,
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
            futures = [end_of(receipts.record, each) for each in events]
            await asyncio.to_thread(
                wait_until,
                lambda: bool(waiting_sessions(database_url)),
                what="the group waits",
                timeout_seconds=120,
            )
            (pid,) = waiting_sessions(database_url)
            other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        outcomes.extend(await asyncio.gather(*futures, return_exceptions=True))

    with_receipts(database_url, work, timeout_seconds=60)

    assert outcomes == [None] * 20
    assert ids_in(database_url) == {each.event_id for each in events}


def test_a_server_that_freezes_in_the_middle_is_no_false_success(
    database_url: str, postgres_server: PostgresServer
) -> None:
    events = [event(number) for number in range(400)]
    outcomes: list[object] = []

    async def work(receipts: Receipts) -> None:
        futures = [end_of(receipts.record, each) for each in events[:200]]
        await futures[0]
        postgres_server.freeze()
        try:
            futures += [end_of(receipts.record, each) for each in events[200:300]]
            outcomes.extend(await asyncio.gather(*futures, return_exceptions=True))
        finally:
            postgres_server.thaw()
        outcomes.extend(await asyncio.gather(*(end_of(receipts.record, each) for each in events[300:])))

    with_receipts(database_url, work, timeout_seconds=4)

    stored = ids_in(database_url)
    assert outcomes[0] is None
    assert outcomes[200:300] != [None] * 100
    assert outcomes[300:] == [None] * 100
    for each, outcome in zip(events, outcomes, strict=True):
        assert (outcome is None and each.event_id in stored) or isinstance(outcome, CopyTimedOut)


def test_a_connection_that_hangs_is_given_up_and_replaced(database_url: str) -> None:
    async def work(receipts: Receipts) -> None:
        await end_of(receipts.record, event(1))
        hung = sessions_of_receivers(database_url)
        for pid in hung:
            os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(CopyTimedOut):
                await end_of(receipts.record, event(2))
            await end_of(receipts.record, event(3))
        finally:
            for pid in hung:
                os.kill(pid, signal.SIGCONT)

    with_receipts(database_url, work, timeout_seconds=4, pool_size=1)


def sessions_of_receivers(database_url: str) -> list[int]:
    """Return the process ids of the sessions of `Receipts`; the server is on this machine."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'cashback-receiver'"
        ).fetchall()
    return [row[0] for row in rows]
