"""Receipts on a real PostgreSQL, called as the receiver calls them."""

import asyncio

import psycopg
import pytest

from deploy.local.postgres import PostgresServer
from producer.errors import CopyFailed, CopyTimedOut
from producer.receipts import NEXT_ATTEMPT_SECONDS, Receipts
from tests.open_receipts import event, with_receipts


def seconds_to_next_attempt(database_url: str) -> float:
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT extract(epoch FROM next_attempt_at - received_at) FROM receipts"
        ).fetchone()
    assert row is not None
    return float(row[0])


def test_the_first_receipt_of_an_event_is_new_and_no_other_is(database_url: str) -> None:
    news: list[bool] = []

    async def work(receipts: Receipts) -> None:
        first = event()
        news.append(await receipts.record(first))
        news.append(await receipts.record(first))
        at_once = await asyncio.gather(*(receipts.record(event(2)) for _ in range(20)))
        news.append(sum(at_once) == 1)

    with_receipts(database_url, work)

    assert news == [True, False, True]


@pytest.mark.parametrize(("deadline_seconds", "expected"), [(30, NEXT_ATTEMPT_SECONDS), (4, 1.0)])
def test_a_receipt_is_overdue_well_before_its_cut_off(
    database_url: str, deadline_seconds: float, expected: float
) -> None:
    async def work(receipts: Receipts) -> None:
        await receipts.record(event())

    with_receipts(database_url, work, deadline_seconds=deadline_seconds)

    assert seconds_to_next_attempt(database_url) == expected


def test_connections_that_died_with_a_restart_are_replaced_within_the_call(
    database_url: str, postgres_server: PostgresServer
) -> None:
    async def work(receipts: Receipts) -> None:
        await asyncio.gather(*(receipts.record(event(number)) for number in range(8)))
        await asyncio.to_thread(postgres_server.restart)
        assert await receipts.record(event(9))

    with_receipts(database_url, work)


def test_a_row_that_somebody_else_holds_ends_in_a_timeout_and_the_connection_lives_on(
    database_url: str,
) -> None:
    held = event()

    async def work(receipts: Receipts) -> None:
        with psycopg.connect(database_url) as other:
            other.execute(
                "SELECT record_receipt(%s, %s, 1, %s, 15, 30, 3)",
                (held.event_id, held.message.token, held.message.received_at),
            )
            with pytest.raises(CopyTimedOut):
                await receipts.record(held)
            other.rollback()
        # The first call may have got through after all: then this one is not new.
        await receipts.record(held)

    with_receipts(database_url, work, timeout_seconds=0.5, pool_size=1)

    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT event_id FROM receipts").fetchall() == [(held.event_id,)]


def test_a_receipt_that_the_database_refuses_is_a_failed_copy(database_url: str) -> None:
    async def work(receipts: Receipts) -> None:
        with pytest.raises(CopyFailed, match="CheckViolation"):
            await receipts.record(event(cashback_id=-1))
        assert await receipts.record(event())

    with_receipts(database_url, work, pool_size=1)


def test_a_frozen_server_keeps_no_caller_waiting_and_no_connection(
    database_url: str, postgres_server: PostgresServer
) -> None:
    async def work(receipts: Receipts) -> None:
        await receipts.record(event())
        await asyncio.to_thread(postgres_server.freeze)
        try:
            ends = await asyncio.gather(
                *(receipts.record(event(number)) for number in range(10, 20)),
                return_exceptions=True,
            )
        finally:
            await asyncio.to_thread(postgres_server.thaw)
        assert [type(end) for end in ends] == [CopyTimedOut] * 10
        for number in range(30, 34):
            assert await receipts.record(event(number))

    with_receipts(database_url, work, timeout_seconds=1, pool_size=2)
