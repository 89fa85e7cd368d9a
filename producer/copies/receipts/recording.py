"""The copy in PostgreSQL: one row per received event.

Decisions 9 and 11.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar
from uuid import UUID

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from cashback_client.contract import OWN_PRODUCER
from producer.copies.errors import CopyFailed, CopyTimedOut
from producer.copies.event import ReceivedEvent
from producer.copies.group_commit import GroupCommit, Member, OnEnd
from producer.copies.receipts.connection import (
    EventState,
    IntakeState,
    ReceiptConnection,
    connection_options,
    intake_state,
    severed_at,
    state_of,
    states_of,
)
from producer.copies.receipts.faults import SHUTDOWNS, ConnectionLost, concerns_all, failure_of
from producer.copies.receipts.rows import record_parameters, record_statement
from producer.shared.postgres.abandoned import AbandonedConnections
from producer.shared.postgres.session import TAKES_NO_WRITES
from producer.shared.preconditions.postgres import PostgresState

# A receipt that nobody has taken up by then is overdue, and the sweeper sends it on. Well above the time that
# a message takes through an idle queue, well below the deadline.
NEXT_ATTEMPT_SECONDS: Final = 3.0

GROUPS_AT_ONCE: Final = 2
MAX_GROUP_SIZE: Final = 100

_PROGRESS: Final = "SELECT settled, age_seconds FROM progress_of(%s, %s, %s)"
# Waiting cancels are not among them; a message that was lost may be, for some seconds.
_STUCK: Final = 3
# psycopg_pool's own default would leave up to minutes between attempts to reconnect.
_RECONNECT_SECONDS: Final = 2.0
_log = structlog.get_logger(__name__)

Connection = ReceiptConnection


@dataclass(frozen=True, slots=True)
class Progress:
    """Which of the events that were asked for are settled, and how long those wait that wait longest.

    `age_seconds` is of all events on record, whoever received them, but for a few that may be stuck; None:
    no more than these wait.
    """

    settled: Sequence[UUID]
    age_seconds: float | None


Group = Sequence[Member[ReceivedEvent]]
Result = TypeVar("Result")


class Receipts:
    """Records receipts, many in one statement and so with one flush to disk where many wait.

    Each is bounded by `timeout_seconds` in total, also where the server is frozen. `cutoff_seconds` and
    `deadline_seconds` count from receipt. `max_waiting` limits how many may wait for a connection.
    """

    def __init__(  # noqa: PLR0913 - all are named where it is built
        self,
        database_url: str,
        *,
        pool_size: int,
        max_waiting: int,
        timeout_seconds: float,
        cutoff_seconds: float,
        deadline_seconds: float,
    ) -> None:
        self._statement = record_statement()
        next_attempt_seconds = min(NEXT_ATTEMPT_SECONDS, cutoff_seconds / 4)
        self._seconds = (cutoff_seconds, deadline_seconds, next_attempt_seconds)
        self._pool_size = pool_size
        self._pool = AsyncConnectionPool(
            database_url,
            min_size=1,
            max_size=pool_size,
            max_waiting=max_waiting,
            open=False,
            name="receipts",
            reconnect_timeout=_RECONNECT_SECONDS,
            connection_class=ReceiptConnection,
            kwargs={
                **connection_options(database_url, timeout_seconds),
                "abandoned": AbandonedConnections(
                    size=pool_size, monotonic=time.monotonic, random=random.random
                ),
            },
        )
        self._groups: GroupCommit[ReceivedEvent] = GroupCommit(
            self._record_group,
            what="PostgreSQL",
            at_once=min(GROUPS_AT_ONCE, pool_size),
            max_size=MAX_GROUP_SIZE,
            max_waiting=max_waiting,
            timeout_seconds=timeout_seconds,
        )

    async def open(self) -> None:
        """Start connecting in the background; returns at once, whether PostgreSQL is there or not."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close()

    def record(self, event: ReceivedEvent, on_end: OnEnd) -> None:
        """Record that an event was received: when that has ended well, its row is committed.

        It ends with CopyFailed or CopyTimedOut otherwise; the row may be there all the same, and that does
        no harm: the event then runs its course, and a repeated make of the same token finds it.
        """
        self._groups.join(event, on_end)

    async def check(self, *, timeout_seconds: float) -> None:
        """Return if a receipt could be recorded; raise CopyFailed or CopyTimedOut if not."""
        until = asyncio.get_running_loop().time() + timeout_seconds
        if why := (await self._call(_writable, until=until)).why_no_writes:
            raise CopyFailed(f"PostgreSQL: {why}")

    async def progress(
        self, event_ids: Sequence[UUID], /, *, timeout_seconds: float, producer: str = OWN_PRODUCER
    ) -> Progress:
        """Return how far events of a producer have come; raise CopyFailed or CopyTimedOut."""
        whose = None if producer == OWN_PRODUCER else producer

        async def ask(connection: Connection) -> Progress:
            cursor = await connection.execute(_PROGRESS, (list(event_ids), _STUCK, whose))
            [(settled, age_seconds)] = await cursor.fetchall()
            return Progress(settled, age_seconds)

        return await self._call(ask, until=asyncio.get_running_loop().time() + timeout_seconds)

    async def states(
        self, event_ids: Sequence[UUID], /, *, timeout_seconds: float, producer: str | None = None
    ) -> Sequence[EventState]:
        """Return how those of these events stand that are on record; raise CopyFailed or CopyTimedOut.

        With `producer` only its own are shown.
        """
        until = asyncio.get_running_loop().time() + timeout_seconds
        return await self._call(partial(states_of, event_ids=event_ids, producer=producer), until=until)

    async def intake(self, *, timeout_seconds: float) -> IntakeState:
        """Return how the intake stands; raise CopyFailed or CopyTimedOut."""
        return await self._call(intake_state, until=asyncio.get_running_loop().time() + timeout_seconds)

    async def _record_group(self, group: Group) -> None:
        try:
            record = partial(
                self._record, parameters=record_parameters([member.item for member in group], self._seconds)
            )
            await self._call(record, until=max(member.until for member in group))
        except Exception as error:
            if len(group) == 1 or concerns_all(error):
                raise
            _log.warning("receipts_one_by_one", events=len(group), error=f"{type(error).__name__}: {error}")
        else:
            for member in group:
                member.end()
            return
        # One of them is to blame, and it shall not fail its neighbours.
        for member in group:
            await self._record_alone(member)

    async def _record(self, connection: Connection, *, parameters: Sequence[bytes | None]) -> None:
        async with connection.lock:
            await connection.wait(self._statement.exchange(connection, parameters))

    async def _record_alone(self, member: Member[ReceivedEvent]) -> None:
        if member.has_ended:
            return
        try:
            await self._record_group([member])
        except Exception as error:  # noqa: BLE001 - it is this member's outcome, reported by whoever waits for it
            member.end(error)

    async def _call(self, work: Callable[[Connection], Awaitable[Result]], *, until: float) -> Result:
        # After a restart of the server each pooled connection is found dead once; the statement may be sent
        # again, because recording a receipt twice is the same as once.
        for _ in range(self._pool_size):
            try:
                return await self._attempt(work, until=until)
            except ConnectionLost:
                continue
        return await self._attempt(work, until=until)

    async def _attempt(self, work: Callable[[Connection], Awaitable[Result]], *, until: float) -> Result:
        loop = asyncio.get_running_loop()
        connection: Connection | None = None
        try:
            connection = await self._pool.getconn(timeout=max(until - loop.time(), 0.001))
            try:
                async with severed_at(connection, until):
                    return await work(connection)
            finally:
                await self._pool.putconn(connection)
        except (PoolTimeout, psycopg.errors.QueryCanceled) as error:
            raise CopyTimedOut("PostgreSQL did not answer in time") from error
        except (PoolClosed, TooManyRequests) as error:
            raise CopyFailed(f"PostgreSQL: {type(error).__name__}: {error}") from error
        except psycopg.Error as error:
            if loop.time() >= until:
                raise CopyTimedOut("PostgreSQL did not answer in time") from error
            if isinstance(error, SHUTDOWNS) or (connection is not None and connection.broken):
                raise ConnectionLost(f"PostgreSQL: {type(error).__name__}: {error}") from error
            raise failure_of(error) from error


async def _writable(connection: ReceiptConnection) -> PostgresState:
    state = await state_of(connection)
    if state.is_standby or state.is_read_only:
        # As a statement that writes would say: the connection is of no use any more.
        raise psycopg.errors.ReadOnlySqlTransaction(state.why_no_writes or TAKES_NO_WRITES)
    return state
