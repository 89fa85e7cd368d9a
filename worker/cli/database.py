"""The connection of one command."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from producer.shared.logs import configure_logs
from producer.shared.settings import ENV_PREFIX, SettingsError, load
from worker.domain.deadline import Deadline
from worker.ledger.database import DeadlineConnection
from worker.settings import CommandSettings
from worker.time_limit import ends_by

QUERY_SECONDS: Final = 30.0
"""The longest that a command which reads may wait for PostgreSQL, all in all."""
_CONNECT_SECONDS: Final = 10


def database_url() -> str:
    """Read the settings and return PostgreSQL's URL. Raises SettingsError."""
    settings = load(CommandSettings)
    configure_logs(settings.log_level)
    try:
        conninfo_to_dict(settings.database_url)
    except psycopg.ProgrammingError:
        # Without libpq's own words, which may quote the password.
        raise SettingsError(
            f"{ENV_PREFIX}DATABASE_URL: is no URL that PostgreSQL's client can read"
        ) from None
    return settings.database_url


@contextmanager
def open_database(*, timeout_seconds: float) -> Iterator[DeadlineConnection]:
    """Connect for the length of the block, which may wait for PostgreSQL `timeout_seconds` from now.

    Raises SettingsError, and psycopg.OperationalError when the database is away or does not answer.
    """
    url = database_url()
    deadline = Deadline(time.monotonic() + timeout_seconds)
    with (
        ends_by(deadline),
        DeadlineConnection.connect(
            url,
            autocommit=True,
            connect_timeout=_CONNECT_SECONDS,
            application_name="cashback",
            # The server gives up too when the client is gone or no longer waits.
            options=f"-c statement_timeout={int(timeout_seconds * 1000)} -c timezone=UTC",
        ) as connection,
    ):
        yield connection
