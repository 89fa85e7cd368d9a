"""What an operator is told when a command fails: one sentence, and an exit code."""

import click
import psycopg
from psycopg import errors

from producer.shared.postgres.session import TAKES_NO_WRITES
from producer.shared.preconditions.whole import NOT_WHOLE
from producer.shared.settings.environment import SettingsError
from worker.errors import WorkerError
from worker.ledger.database import AnswerTimeout

_SCHEMA_MISSING = (errors.UndefinedTable, errors.UndefinedFunction, errors.UndefinedColumn)

_WHO_MAY = (
    ": CASHBACK_DATABASE_URL is to name a role that may, which is the owner for `cashback migrate` and the "
    "operator for all else"
)


class Failed(click.ClickException):
    """Something was not found, was refused, or is away."""

    exit_code = 1


class WrongUse(click.ClickException):
    """A setting is missing or wrong."""

    exit_code = 2


def fault_of(error: Exception) -> click.ClickException | None:
    """Return what to tell the operator about `error`, or None where it is nothing that we foresaw."""
    if isinstance(error, SettingsError):
        return WrongUse(str(error))
    if isinstance(error, WorkerError):
        return Failed(str(error))
    if isinstance(error, psycopg.Error):
        return Failed(_database_fault(error))
    return None


def _database_fault(error: psycopg.Error) -> str:
    if isinstance(error, _SCHEMA_MISSING):
        return "the database does not have the schema of this program: run `cashback migrate`"
    if isinstance(error, AnswerTimeout | errors.QueryCanceled):
        return "PostgreSQL did not answer in time: try again when it has less to do"
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return f"{TAKES_NO_WRITES}; name the primary in CASHBACK_DATABASE_URL"
    if isinstance(error, errors.LockNotAvailable):
        return "another run of `cashback` holds the database for long: try again when it has ended"
    # Some errors of psycopg have no text of their own.
    text = error.diag.message_primary or str(error) or type(error).__name__
    first_line = text.strip().partition("\n")[0]
    if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
        return f"PostgreSQL cannot be reached, check CASHBACK_DATABASE_URL and that it runs: {first_line}"
    what_to_do = _WHO_MAY if isinstance(error, errors.InsufficientPrivilege) else ""
    if error.sqlstate == NOT_WHOLE:
        what_to_do = f". {error.diag.message_hint}"
    return f"PostgreSQL refused: {first_line}{what_to_do}"
