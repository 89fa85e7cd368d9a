"""Whose fault it is that a statement about receipts failed, and what the connection is worth then."""

from typing import Final

import psycopg

from producer.copies.errors import CopyFailed, CopyTimedOut

# Half a restore: what is recorded needs its table, its functions and its key.
_NOT_THERE: Final = (
    psycopg.errors.InvalidColumnReference,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.UndefinedTable,
)
SHUTDOWNS: Final = (
    psycopg.errors.AdminShutdown,
    psycopg.errors.CrashShutdown,
    psycopg.errors.CannotConnectNow,
)


def failure_of(error: psycopg.Error) -> CopyFailed:
    """Return what a statement's error means, where the connection is sound."""
    text = f"PostgreSQL: {type(error).__name__}: {error}"
    if isinstance(error, (psycopg.errors.ReadOnlySqlTransaction, *_NOT_THERE)):
        return ConnectionUnfit(text)
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return RowHeld(text)
    return CopyFailed(text)


def concerns_all(error: Exception) -> bool:
    """Whether each member of a group would meet this error alone, too."""
    return isinstance(error, (CopyTimedOut, ConnectionUnfit)) and not isinstance(error, RowHeld)


class RowHeld(CopyTimedOut):
    """Somebody else held the event's row for too long."""

    shows_away = False


class ConnectionUnfit(CopyFailed):
    """No receipt can be recorded through this connection."""

    shows_away = True


class ConnectionLost(ConnectionUnfit):
    """The connection to PostgreSQL was lost."""

    reason = "connection_lost"
