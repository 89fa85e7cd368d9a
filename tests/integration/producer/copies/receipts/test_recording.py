"""Receipts on a real PostgreSQL, called as the receiver calls them."""

import asyncio

import psycopg
import pytest

from deploy.local.postgres import PostgresServer
from producer.copies.errors import CopyFailed, CopyTimedOut
from producer.copies.receipts.recording import NEXT_ATTEMPT_SECONDS, Receipts
from tests.support.futures import end_of
from tests.support.receipts import event, with_receipts


def seconds_to_next_attempt(database_url: str) -> float:
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT extract(epoch FROM next_attempt_at - received_at) FROM receipts"
        ).fetchone()
    assert row is not None
    return float(row[0])


def test_an_event_that_is_received_again_stays_as_it_was_recorded(database_url: str) -> None:
    first = event()

    async def work(receipts: Receipts) -> None:
        await end_of(receipts.record, first)
        await end_of(receipts.record, event(ahead_seconds=-3, cashback_id=2))

    with_receipts(database_url, work)

    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT cashback_id, token_of(event_id) FROM receipts").fetchall()
    assert rows == [(1, first.message.token)]


@pytest.mark.parametrize(("deadline_seconds", "expected"), [(30, NEXT_ATTEMPT_SECONDS), (4, 0.5)])
def test_a_receipt_is_overdue_well_before_its_cut_off(
    database_url: str, deadline_seconds: float, expected: float
) -> None:
    async def work(receipts: Receipts) -> None:
        await end_of(receipts.record, event())

    with_receipts(database_url, work, deadline_seconds=deadline_seconds)

    assert seconds_to_next_attempt(database_url) == expected


def test_connections_that_died_with_a_restart_are_replaced_within_the_call(
    database_url: str, postgres_server: PostgresServer
) -> None:
    async def work(receipts: Receipts) -> None:
        await asyncio.gather(*(end_of(receipts.record, event(number)) for number in range(8)))
        await asyncio.to_thread(postgres_server.restart)
        await end_of(receipts.record, event(9))

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
            with pytest.raises(CopyTimedOut) as raised:
                await end_of(receipts.record, held)
            other.rollback()
            # That is one row's trouble, and not the server's.
            assert not raised.value.shows_away
        # The first call may have got through after all: that does no harm.
        await end_of(receipts.record, held)

    with_receipts(database_url, work, timeout_seconds=3, pool_size=1)

    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT event_id FROM receipts").fetchall() == [(held.event_id,)]


def test_a_receipt_that_the_database_refuses_is_a_failed_copy(database_url: str) -> None:
    async def work(receipts: Receipts) -> None:
        with pytest.raises(CopyFailed, match="CheckViolation"):
            await end_of(receipts.record, event(cashback_id=-1))
        await end_of(receipts.record, event())

    with_receipts(database_url, work, pool_size=1)


def test_a_receipt_whose_commit_fails_is_a_failed_copy(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            """
            CREATE FUNCTION refuse_commit() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                RAISE EXCEPTION 'not to be committed';
            END $$;
            CREATE CONSTRAINT TRIGGER refuse_commit AFTER INSERT ON receipts
                DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_commit();
            """
        )

    async def work(receipts: Receipts) -> None:
        with pytest.raises(CopyFailed, match="not to be committed"):
            await end_of(receipts.record, event())

    with_receipts(database_url, work, pool_size=1)


def test_a_frozen_server_keeps_no_caller_waiting_and_no_connection(
    database_url: str, postgres_server: PostgresServer
) -> None:
    async def work(receipts: Receipts) -> None:
        await end_of(receipts.record, event())
        await asyncio.to_thread(postgres_server.freeze)
        try:
            ends = await asyncio.gather(
                *(end_of(receipts.record, event(number)) for number in range(10, 20)),
                return_exceptions=True,
            )
        finally:
            await asyncio.to_thread(postgres_server.thaw)
        assert [type(end) for end in ends] == [CopyTimedOut] * 10
        for number in range(30, 34):
            await end_of(receipts.record, event(number))

    with_receipts(database_url, work, timeout_seconds=4, pool_size=2)
