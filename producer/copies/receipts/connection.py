"""The receiver's connections to PostgreSQL: how they are made, and how they are cut in time."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self
from uuid import UUID

import psycopg

from producer.copies.errors import CopyFailed
from producer.shared.postgres.abandoned import STILL_RUNNING, AbandonedConnections
from producer.shared.postgres.session import Session
from producer.shared.preconditions.postgres import RECORDS, STATE, PostgresState

# libpq's smallest.
_CONNECT_TIMEOUT_SECONDS: Final = 2
# Of the time after which the connection is cut: a server that works gives up first, and the connection
# is saved.
_STATEMENT_SHARE: Final = 0.8
# Short enough to leave time for the neighbours of an event whose row is held, see Receipts.
_LOCK_SHARE: Final = 0.25
_STATES: Final = (
    "SELECT event_id, state, code, received_at, settled_at, closed_at, unconfirmed FROM states_of(%s, %s)"
)
_INTAKE: Final = "SELECT paused_until, seconds_left, person, reason FROM intake_state()"


@dataclass(frozen=True, slots=True)
class EventState:
    """How an event on record stands; see docs/states.md. Times are UTC."""

    event_id: UUID
    state: str
    code: int | None
    received_at: datetime
    settled_at: datetime | None
    closed_at: datetime | None
    unconfirmed: bool


@dataclass(frozen=True, slots=True)
class IntakeState:
    """How the intake stands by PostgreSQL's clock, and who closed or opened it last.

    `paused_until` (UTC) is None where nobody has closed it, or somebody has opened it since.
    """

    paused_until: datetime | None
    seconds_left: float
    person: str | None
    reason: str | None


class ReceiptConnection(psycopg.AsyncConnection[Any]):
    """A connection that is counted where it is let go of in the middle of a statement."""

    abandoned: AbandonedConnections | None = None
    backend: int = 0

    @classmethod
    async def connect(  # type: ignore[override]
        cls,
        conninfo: str = "",
        *,
        abandoned: AbandonedConnections,
        session: Session,
        **options: Any,  # noqa: ANN401 - psycopg's own
    ) -> Self:
        """Connect, if `abandoned` lets us; raises ConnectionsHeldBack."""
        with abandoned.connecting():
            connection = await super().connect(conninfo, **options)
            try:
                async with severed_at(connection, _in_seconds(_CONNECT_TIMEOUT_SECONDS)):
                    connection.backend = await connection.wait(session.opening(connection))
                connection.abandoned = abandoned
                async with severed_at(connection, _in_seconds(_CONNECT_TIMEOUT_SECONDS)):
                    if asked := abandoned.take_in(connection):
                        cursor = await connection.execute(STILL_RUNNING, (asked,))
                        abandoned.decide(asked, await cursor.fetchall())
            except BaseException:
                await connection.close()
                raise
            return connection


async def state_of(connection: ReceiptConnection) -> PostgresState:
    """Ask how the server and the database stand."""
    cursor = await connection.execute(STATE, (RECORDS,))
    [row] = await cursor.fetchall()
    return PostgresState.of(row)


async def states_of(
    connection: ReceiptConnection, event_ids: Sequence[UUID], producer: str | None
) -> Sequence[EventState]:
    """Ask how those of these events stand that are on record; with `producer` only its own."""
    cursor = await connection.execute(_STATES, (list(event_ids), producer), prepare=True)
    return [EventState(*row) for row in await cursor.fetchall()]


async def intake_state(connection: ReceiptConnection) -> IntakeState:
    """Ask how the intake stands; raise CopyFailed where there is no word of it."""
    cursor = await connection.execute(_INTAKE, prepare=True)
    rows = await cursor.fetchall()
    if not rows:
        raise CopyFailed("PostgreSQL: the table intake is empty")
    return IntakeState(*rows[0])


def _in_seconds(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


@asynccontextmanager
async def severed_at(connection: ReceiptConnection, until: float) -> AsyncIterator[None]:
    """Cut the connection at `until` (loop time), which ends whatever waits on it with an error.

    Cancelling would not do: psycopg answers a cancellation by asking the server to cancel and waits
    seconds for the reply, which a frozen server never sends.
    """
    timer = asyncio.get_running_loop().call_at(until, _sever, connection, connection.fileno())
    try:
        yield
    except psycopg.errors.ReadOnlySqlTransaction:
        # The server is no longer the primary; only a new connection can find the one that is.
        await connection.close()
        raise
    finally:
        timer.cancel()


def _sever(connection: ReceiptConnection, descriptor: int) -> None:
    if connection.abandoned is not None:
        connection.abandoned.let_go(connection.backend)
    # Shutting the socket down, unlike closing it, leaves the descriptor to its owner.
    with socket.socket(fileno=os.dup(descriptor)) as duplicate:
        try:
            duplicate.shutdown(socket.SHUT_RDWR)
        except OSError:
            # The other side was faster: the connection is down already, which is what was wanted.
            return


def connection_options(database_url: str, timeout_seconds: float) -> dict[str, Any]:
    """Return the options of a connection whose statements end within `timeout_seconds`.

    A wait for a row that somebody else holds ends sooner: it is one event's trouble, and others may be in the
    same statement.
    """
    timeout_ms = max(1, int(timeout_seconds * 1000))
    session = Session(
        application_name="cashback-receiver",
        statement_timeout_ms=max(1, int(timeout_ms * _STATEMENT_SHARE)),
        lock_timeout_ms=max(1, int(timeout_ms * _LOCK_SHARE)),
    )
    return {
        **session.connect_options(
            database_url, connect_seconds=_CONNECT_TIMEOUT_SECONDS, unanswered_ms=timeout_ms
        ),
        "session": session,
        "autocommit": True,
    }
