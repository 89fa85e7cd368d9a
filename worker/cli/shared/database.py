"""The connection of one command."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from producer.shared.logs import configure_logs
from producer.shared.postgres.session import Session
from producer.shared.settings.environment import load
from worker.domain.deadline import Deadline
from worker.ledger.database import DeadlineConnection
from worker.settings import CommandSettings
from worker.time_limit import ends_by

QUERY_SECONDS: Final = 30.0
"""The longest that a command which reads may wait for PostgreSQL, all in all."""
_CONNECT_SECONDS: Final = 10
_UNANSWERED_MS: Final = 30_000


def database_url() -> str:
    """Read the settings and return PostgreSQL's URL. Raises SettingsError."""
    settings = load(CommandSettings)
    configure_logs(settings.log_level)
    return settings.database_url


@contextmanager
def open_database(
    *, timeout_seconds: float, statement_seconds: float | None = None, looks_up: bool = True
) -> Iterator[DeadlineConnection]:
    """Connect for the length of the block, which may wait for PostgreSQL `timeout_seconds` from now.

    One statement may take `statement_seconds`, or all of that time. A command looks rows up by their keys, as
    a worker does; not `looks_up` is one that reads whole tables.

    Raises SettingsError, and psycopg.OperationalError when the database is away or does not answer.
    """
    url = database_url()
    # The server gives up too when the client is gone or no longer waits.
    session = Session(
        application_name="cashback",
        statement_timeout_ms=int((statement_seconds or timeout_seconds) * 1000),
        lasting_plans=looks_up,
        writes=False,
    )
    options = session.connect_options(url, connect_seconds=_CONNECT_SECONDS, unanswered_ms=_UNANSWERED_MS)
    deadline = Deadline(time.monotonic() + timeout_seconds)
    with (
        ends_by(deadline),
        DeadlineConnection.connect(url, session=session, autocommit=True, **options) as connection,
    ):
        yield connection
