"""Connections to PostgreSQL that never wait longer than they were told to.

Decision 5.
"""

import random
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, LiteralString, Self, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq.abc import PGresult
from psycopg_pool import ConnectionPool

from producer.shared.postgres.abandoned import STILL_RUNNING, AbandonedConnections
from producer.shared.postgres.prepared import PreparedStatement
from producer.shared.postgres.session import Session
from producer.shared.preconditions.whole import NOT_WHOLE
from worker.domain.deadline import Deadline
from worker.errors import CutoffPassed, LedgerNotWhole, LedgerUnavailable
from worker.time_limit import ends_by, seconds_left

Result = TypeVar("Result")

# How long a failed connection attempt is repeated in the background before the next caller asks anew.
_RECONNECT_SECONDS: Final = 2.0
_CONNECT_SECONDS: Final = 3
_MAX_IDLE_SECONDS: Final = 300.0
_UNANSWERED_MS: Final = 10_000
# Raised by settle_event and settle_events, see worker/schema/functions/.
_CUTOFF_PASSED: Final = "CB001"


class AnswerTimeout(psycopg.OperationalError):
    """PostgreSQL did not answer in time; whether the statement took effect is unknown."""


class DeadlineConnection(psycopg.Connection[Any]):
    """A connection whose every wait ends by the thread's `ends_by`.

    `statement_timeout` is the server's own promise and a frozen server does not keep it. A connection
    that ran into the limit is in an unknown state, so it is closed; its statement may run on.
    """

    abandoned: AbandonedConnections | None = None
    backend: int = 0

    @classmethod
    def connect(  # type: ignore[override]
        cls,
        conninfo: str = "",
        *,
        session: Session,
        abandoned: AbandonedConnections | None = None,
        **options: Any,  # noqa: ANN401 - psycopg's own
    ) -> Self:
        """Connect, if `abandoned` lets us; raises ConnectionsHeldBack."""
        if abandoned is None:
            return cls._open(conninfo, session, options)
        # Behind a look that finds nothing all others go on at once; held back, they would wait a second.
        with abandoned.connecting(wait_seconds=_CONNECT_SECONDS):
            connection = cls._open(conninfo, session, options)
            connection.abandoned = abandoned
            try:
                with ends_by(Deadline(time.monotonic() + _CONNECT_SECONDS)):
                    if asked := abandoned.take_in(connection):
                        abandoned.decide(asked, connection.execute(STILL_RUNNING, (asked,)).fetchall())
            except BaseException:
                connection.close()
                raise
            return connection

    @classmethod
    def _open(cls, conninfo: str, session: Session, options: dict[str, Any]) -> Self:
        connection = super().connect(conninfo, **options)
        try:
            with ends_by(Deadline(time.monotonic() + _CONNECT_SECONDS)):
                connection.backend = connection.wait(session.opening(connection))
        except BaseException:
            connection.close()
            raise
        return connection

    def wait(self, gen: PQGen[Result], interval: float = 0.1, timeout: float | None = None) -> Result:
        """Run one exchange with the server; raise AnswerTimeout when the time is over."""
        left_seconds = seconds_left()
        if left_seconds is not None and (timeout is None or left_seconds < timeout):
            timeout = left_seconds
        try:
            return super().wait(gen, interval, timeout)
        except psycopg.errors._WaitTimeout as error:  # noqa: SLF001 - psycopg documents it under this name
            if self.abandoned is not None:
                self.abandoned.let_go(self.backend)
            self.close()
            raise AnswerTimeout("PostgreSQL did not answer in time") from error
        except psycopg.errors.ReadOnlySqlTransaction:
            # The server is no longer the primary; only a new connection can find the one that is.
            self.close()
            raise


class Database:
    """Single statements, each in a transaction of its own and bounded in time; safe for many threads."""

    def __init__(self, pool: ConnectionPool[DeadlineConnection], *, timeout_seconds: float) -> None:
        self._pool = pool
        self._timeout_seconds = timeout_seconds

    def next_deadline(self) -> Deadline:
        """Return the moment (monotonic) by which a call that starts now has ended."""
        return Deadline(time.monotonic() + self._timeout_seconds)

    def rows(
        self, query: LiteralString, parameters: Sequence[object], *, deadline: Deadline | None = None
    ) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows, by `deadline` (monotonic) where one is given.

        Raises CutoffPassed and LedgerNotWhole where the database says so, and LedgerUnavailable for
        everything else: whether the statement took effect is then unknown.
        """
        return self._ask(lambda connection: connection.execute(query, parameters).fetchall(), deadline)

    def row_of(
        self, statement: PreparedStatement, parameters: Sequence[bytes | None], *, deadline: Deadline
    ) -> list[bytes | None]:
        """Run a statement and return its one row as PostgreSQL writes it; raises as `rows` does."""

        def run(connection: DeadlineConnection) -> PGresult:
            with connection.lock:
                return connection.wait(statement.exchange(connection, parameters))[-1]

        result = self._ask(run, deadline)
        _check_one_row(result.ntuples)
        return [result.get_value(0, column) for column in range(result.nfields)]

    def _ask(self, work: Callable[[DeadlineConnection], Result], deadline: Deadline | None) -> Result:
        with ends_by(deadline or self.next_deadline()):
            left_seconds = seconds_left()
            if left_seconds == 0.0:
                raise LedgerUnavailable("PostgreSQL: no time is left to ask")
            return self._work_within(left_seconds, work)

    def _work_within(
        self, left_seconds: float | None, work: Callable[[DeadlineConnection], Result]
    ) -> Result:
        try:
            with self._pool.connection(timeout=left_seconds) as connection:
                return work(connection)
        except psycopg.Error as error:
            if error.sqlstate == _CUTOFF_PASSED:
                raise CutoffPassed from error
            if error.sqlstate == NOT_WHOLE:
                raise LedgerNotWhole(f"PostgreSQL: {error.diag.message_primary}") from error
            raise LedgerUnavailable(f"PostgreSQL: {type(error).__name__}: {error}") from error

    def one_row(
        self, query: LiteralString, parameters: Sequence[object], *, deadline: Deadline | None = None
    ) -> tuple[Any, ...]:
        """Run one statement that returns one row, and return it; raises as `rows` does."""
        rows = self.rows(query, parameters, deadline=deadline)
        _check_one_row(len(rows))
        return rows[0]


def _check_one_row(rows: int) -> None:
    if rows != 1:
        raise LedgerUnavailable(f"PostgreSQL returned {rows} rows instead of one")


def open_pool(
    database_url: str, *, size: int, statement_timeout_seconds: float
) -> ConnectionPool[DeadlineConnection]:
    """Open a pool of up to `size` autocommit connections; it connects in the background and when asked."""
    session = Session(
        application_name="cashback-worker", statement_timeout_ms=int(statement_timeout_seconds * 1000)
    )
    pool = ConnectionPool(
        database_url,
        connection_class=DeadlineConnection,
        min_size=1,
        max_size=size,
        max_idle=_MAX_IDLE_SECONDS,
        reconnect_timeout=_RECONNECT_SECONDS,
        name="ledger",
        open=False,
        kwargs={
            "abandoned": AbandonedConnections(size=size, monotonic=time.monotonic, random=random.random),
            "session": session,
            "autocommit": True,
            "prepare_threshold": 1,
            **session.connect_options(
                database_url, connect_seconds=_CONNECT_SECONDS, unanswered_ms=_UNANSWERED_MS
            ),
        },
    )
    pool.open()
    return pool
