"""Receipts as the receiver opens them, alone and together, and other sessions that stand in their way."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import psycopg

from cashback_client.contract import OWN_PRODUCER, SettleMessage
from producer.copies.event import ReceivedEvent
from producer.copies.receipts.recording import Receipts
from tests.support.futures import end_of
from tests.support.roles import as_role
from worker.schema.roles import RECEIVER

RECORD = "SELECT record_receipts(%b, %s, %s, %s, 15, 30, 3, %s)"


def event(
    number: int = 1, *, cashback_id: int = 1, ahead_seconds: int = 0, producer: str = OWN_PRODUCER
) -> ReceivedEvent:
    """Return an event that is received now, or that much later."""
    received_at_ms = (time.time_ns() // 1_000_000_000 + ahead_seconds) * 1000
    message = SettleMessage(token=f"head.payload.{number}", received_at_ms=received_at_ms)
    return ReceivedEvent(message, message.event_id, cashback_id, {}, producer)


def with_receipts(
    database_url: str,
    work: Callable[[Receipts], Awaitable[None]],
    *,
    timeout_seconds: float = 60,
    deadline_seconds: float = 30,
    pool_size: int = 4,
) -> None:
    """Run `work` with open receipts, as the receiver's role."""

    async def run() -> None:
        receipts = Receipts(
            as_role(database_url, RECEIVER),
            pool_size=pool_size,
            max_waiting=1000,
            timeout_seconds=timeout_seconds,
            cutoff_seconds=deadline_seconds / 2,
            deadline_seconds=deadline_seconds,
        )
        await receipts.open()
        try:
            await work(receipts)
        finally:
            await receipts.close()

    asyncio.run(run())


def recorded_together(
    database_url: str, events: list[ReceivedEvent], *, timeout_seconds: float = 60
) -> list[object]:
    """Record all of these at once; return what came of each."""
    outcomes: list[object] = []

    async def work(receipts: Receipts) -> None:
        # The first one makes the connection, and the rest meet while it does.
        futures = [end_of(receipts.record, each) for each in events]
        outcomes.extend(await asyncio.gather(*futures, return_exceptions=True))

    with_receipts(database_url, work, timeout_seconds=timeout_seconds)
    return outcomes


def ids_in(database_url: str) -> set[object]:
    """Return the ids of all that is recorded."""
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
            [each.producer for each in events],
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
