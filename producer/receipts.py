"""The copy in PostgreSQL: one row per received event."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from producer.contract import SettleMessage
from producer.errors import CopyFailed, CopyTimedOut
from producer.settings import ENV_PREFIX, SettingsError

# A receipt that nobody has taken up by then is overdue, and the sweeper sends it on. Well above the time that
# a message takes through an idle queue, well below the deadline.
NEXT_ATTEMPT_SECONDS: Final = 3.0

_RECORD: Final = "SELECT record_receipt(%s, %s, %s, %s, %s, %s, %s)"
_CHECK: Final = "SELECT to_regproc('record_receipt') IS NOT NULL"
# psycopg_pool's own default would leave up to minutes between attempts to reconnect.
_RECONNECT_SECONDS: Final = 2.0
_SHUTDOWNS: Final = (
    psycopg.errors.AdminShutdown,
    psycopg.errors.CrashShutdown,
    psycopg.errors.CannotConnectNow,
)
# libpq's smallest.
_CONNECT_TIMEOUT_SECONDS: Final = 2


class Receipts:
    """Records receipts, each bounded by `timeout_seconds` in total, also where the server is frozen.

    `cutoff_seconds` and `deadline_seconds` count from receipt. `max_waiting` limits how many may wait
    for a connection.
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
        self._timeout_seconds = timeout_seconds
        self._cutoff_seconds = cutoff_seconds
        self._deadline_seconds = deadline_seconds
        self._next_attempt_seconds = min(NEXT_ATTEMPT_SECONDS, cutoff_seconds / 2)
        self._pool_size = pool_size
        self._pool = AsyncConnectionPool(
            database_url,
            min_size=1,
            max_size=pool_size,
            max_waiting=max_waiting,
            open=False,
            name="receipts",
            reconnect_timeout=_RECONNECT_SECONDS,
            kwargs=_connection_options(database_url, timeout_seconds),
        )

    async def open(self) -> None:
        """Start connecting in the background; returns at once, whether PostgreSQL is there or not."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close()

    async def record(self, message: SettleMessage, *, cashback_id: int) -> bool:
        """Record that an event was received; true if it is new. On return the row is committed.

        Raises CopyFailed, CopyTimedOut; the row may be there all the same, and that does no harm: the
        event then runs its course, and a repeated make of the same token finds it.
        """
        row = await self._call(
            _RECORD,
            (
                message.event_id,
                message.token,
                cashback_id,
                message.received_at,
                self._cutoff_seconds,
                self._deadline_seconds,
                self._next_attempt_seconds,
            ),
            timeout_seconds=self._timeout_seconds,
        )
        return bool(row)

    async def check(self, *, timeout_seconds: float) -> None:
        """Return if a receipt could be recorded; raise CopyFailed or CopyTimedOut if not."""
        if not await self._call(_CHECK, (), timeout_seconds=timeout_seconds):
            raise CopyFailed("PostgreSQL: the database has no schema yet; run `cashback migrate`")

    async def _call(self, query: str, parameters: tuple[Any, ...], *, timeout_seconds: float) -> object:
        until = asyncio.get_running_loop().time() + timeout_seconds
        # After a restart of the server each pooled connection is found dead once; the statement may be sent
        # again, because recording a receipt twice is the same as once.
        for _ in range(self._pool_size):
            try:
                return await self._attempt(query, parameters, until=until)
            except _ConnectionLost:
                continue
        return await self._attempt(query, parameters, until=until)

    async def _attempt(self, query: str, parameters: tuple[Any, ...], *, until: float) -> object:
        loop = asyncio.get_running_loop()
        connection: psycopg.AsyncConnection[Any] | None = None
        try:
            async with (
                self._pool.connection(timeout=max(until - loop.time(), 0.001)) as connection,
                _severed_at(connection, until),
            ):
                cursor = await connection.execute(query, parameters)
                row = await cursor.fetchone()
            return row[0] if row is not None else None
        except (PoolTimeout, psycopg.errors.QueryCanceled) as error:
            raise CopyTimedOut("PostgreSQL did not answer in time") from error
        except (PoolClosed, TooManyRequests) as error:
            raise CopyFailed(f"PostgreSQL: {type(error).__name__}: {error}") from error
        except psycopg.Error as error:
            if loop.time() >= until:
                raise CopyTimedOut("PostgreSQL did not answer in time") from error
            if isinstance(error, _SHUTDOWNS) or (connection is not None and connection.broken):
                raise _ConnectionLost(f"PostgreSQL: {error}") from error
            raise CopyFailed(f"PostgreSQL: {type(error).__name__}: {error}") from error


class _ConnectionLost(CopyFailed):
    """The connection to PostgreSQL was lost."""

    reason = "connection_lost"


@asynccontextmanager
async def _severed_at(connection: psycopg.AsyncConnection[Any], until: float) -> AsyncIterator[None]:
    """Cut the connection at `until` (loop time), which ends whatever waits on it with an error.

    Cancelling would not do: psycopg answers a cancellation by asking the server to cancel and waits
    seconds for the reply, which a frozen server never sends.
    """
    timer = asyncio.get_running_loop().call_at(until, _sever, connection.fileno())
    try:
        yield
    except psycopg.errors.ReadOnlySqlTransaction:
        # The server is no longer the primary; only a new connection can find the one that is.
        await connection.close()
        raise
    finally:
        timer.cancel()


def _sever(descriptor: int) -> None:
    # Shutting the socket down, unlike closing it, leaves the descriptor to its owner.
    with socket.socket(fileno=os.dup(descriptor)) as duplicate:
        try:
            duplicate.shutdown(socket.SHUT_RDWR)
        except OSError:
            # The other side was faster: the connection is down already, which is what was wanted.
            return


def _connection_options(database_url: str, timeout_seconds: float) -> dict[str, Any]:
    try:
        given = conninfo_to_dict(database_url)
    except psycopg.ProgrammingError as error:
        raise SettingsError(f"{ENV_PREFIX}DATABASE_URL: {str(error).strip()}") from None
    timeout_ms = max(1, int(timeout_seconds * 1000))
    # A little less than the time after which the connection is cut: a server that works gives up first, and
    # the connection is saved.
    statement_ms = max(1, int(timeout_ms * 0.8))
    options = f"{given.get('options', '')} -c statement_timeout={statement_ms}".strip()
    defaults: dict[str, Any] = {
        "application_name": "cashback-receiver",
        "connect_timeout": _CONNECT_TIMEOUT_SECONDS,
        "keepalives": 1,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": timeout_ms,
    }
    chosen = {name: value for name, value in defaults.items() if name not in given}
    return {**chosen, "options": options, "autocommit": True}
