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
from producer.protocol.asked import read_asked
from producer.shared.postgres.abandoned import AbandonedConnections
from producer.shared.postgres.prepared import (
    PreparedStatement,
    float8,
    int8_array,
    number_array_text,
    text_array,
    uuid_array,
)
from producer.shared.postgres.session import TAKES_NO_WRITES
from producer.shared.preconditions.postgres import PostgresState

# A receipt that nobody has taken up by then is overdue, and the sweeper sends it on. Well above the time that
# a message takes through an idle queue, well below the deadline.
NEXT_ATTEMPT_SECONDS: Final = 3.0

GROUPS_AT_ONCE: Final = 2
MAX_GROUP_SIZE: Final = 100

_RECORD: Final = "SELECT count(*) FROM record_receipts($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
_RECORD_TYPES: Final = (
    *("uuid[]", "text[]", "int8[]", "int8[]", "float8", "float8", "float8", "text[]"),
    *("text[]", "int4[]", "numeric[]"),
)
_RECORD_TEXTS: Final = (9, 10)
_PROGRESS: Final = "SELECT settled, age_seconds FROM progress_of(%s, %s, %s)"
# Waiting cancels are not among them; a message that was lost may be, for some seconds.
_STUCK: Final = 3
# psycopg_pool's own default would leave up to minutes between attempts to reconnect.
_RECONNECT_SECONDS: Final = 2.0
# Half a restore: what is recorded needs its table, its functions and its key.
_NOT_THERE: Final = (
    psycopg.errors.InvalidColumnReference,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.UndefinedTable,
)
_SHUTDOWNS: Final = (
    psycopg.errors.AdminShutdown,
    psycopg.errors.CrashShutdown,
    psycopg.errors.CannotConnectNow,
)

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
        self._statement = PreparedStatement("record_receipts", _RECORD, _RECORD_TYPES, texts=_RECORD_TEXTS)
        next_attempt_seconds = min(NEXT_ATTEMPT_SECONDS, cutoff_seconds / 4)
        self._seconds = [float8(each) for each in (cutoff_seconds, deadline_seconds, next_attempt_seconds)]
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
            record = partial(self._record, parameters=self._parameters(group))
            await self._call(record, until=max(member.until for member in group))
        except Exception as error:
            if len(group) == 1 or _concerns_all(error):
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

    def _parameters(self, group: Group) -> list[bytes | None]:
        events = [member.item for member in group]
        asked = [read_asked(event.data) for event in events]
        return [
            uuid_array([event.event_id for event in events]),
            text_array([event.message.token for event in events]),
            int8_array([event.cashback_id for event in events]),
            int8_array([event.message.received_at_ms for event in events]),
            *self._seconds,
            _producers(events),
            text_array([each.user_id for each in asked]),
            number_array_text([each.transaction_type for each in asked]),
            number_array_text([each.amount for each in asked]),
        ]

    async def _call(self, work: Callable[[Connection], Awaitable[Result]], *, until: float) -> Result:
        # After a restart of the server each pooled connection is found dead once; the statement may be sent
        # again, because recording a receipt twice is the same as once.
        for _ in range(self._pool_size):
            try:
                return await self._attempt(work, until=until)
            except _ConnectionLost:
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
            if isinstance(error, _SHUTDOWNS) or (connection is not None and connection.broken):
                raise _ConnectionLost(f"PostgreSQL: {type(error).__name__}: {error}") from error
            raise _failure(error) from error


def _producers(events: Sequence[ReceivedEvent]) -> bytes | None:
    # Null where all are our own: nothing is sent and nothing is read then.
    if all(event.producer == OWN_PRODUCER for event in events):
        return None
    return text_array([event.producer for event in events])


async def _writable(connection: ReceiptConnection) -> PostgresState:
    state = await state_of(connection)
    if state.is_standby or state.is_read_only:
        # As a statement that writes would say: the connection is of no use any more.
        raise psycopg.errors.ReadOnlySqlTransaction(state.why_no_writes or TAKES_NO_WRITES)
    return state


def _failure(error: psycopg.Error) -> CopyFailed:
    """Return what a statement's error means, where the connection is sound."""
    text = f"PostgreSQL: {type(error).__name__}: {error}"
    if isinstance(error, (psycopg.errors.ReadOnlySqlTransaction, *_NOT_THERE)):
        return _ConnectionUnfit(text)
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return _RowHeld(text)
    return CopyFailed(text)


def _concerns_all(error: Exception) -> bool:
    """Whether each member of a group would meet this error alone, too."""
    return isinstance(error, (CopyTimedOut, _ConnectionUnfit)) and not isinstance(error, _RowHeld)


class _RowHeld(CopyTimedOut):
    """Somebody else held the event's row for too long."""

    shows_away = False


class _ConnectionUnfit(CopyFailed):
    """No receipt can be recorded through this connection."""

    shows_away = True


class _ConnectionLost(_ConnectionUnfit):
    """The connection to PostgreSQL was lost."""

    reason = "connection_lost"
