"""How every process opens a session of PostgreSQL, and what it holds of it. Decisions 14 and 30.

Whoever may set things for a database or a role (`ALTER DATABASE … SET`) sets them for us, too: each setting
that the program relies on is set by the program, in one statement when it connects. It is none of the
connection's `options`: PgBouncer takes none, and those of the URL are left as they are.
"""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

import psycopg
import structlog
from psycopg import BaseConnection
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict

from producer.shared.postgres.prepared import results_of
from producer.shared.settings.environment import ENV_PREFIX, SettingsError

LASTING_PLANS: Final[Mapping[str, str]] = {
    # A connection keeps its plans, those of functions and of the foreign keys' checks among them. On a day on
    # which the tables are still empty the planner prefers to read them whole: a look-up by index stays right
    # while they grow.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_indexscan": "on",
    "enable_indexonlyscan": "on",
    "enable_bitmapscan": "on",
    "enable_nestloop": "on",
    # What looks up a few rows is done before it is compiled.
    "jit": "off",
}
"""How connections that only look up rows by their keys are to have their statements planned. Decision 14."""

RELIED_ON: Final[Mapping[str, str]] = {
    # What psycopg reads and writes as text.
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "array_nulls": "on",
    # What our SQL means.
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "quote_all_identifiers": "off",
    "check_function_bodies": "on",
    # What the functions were written for: they lock what they decide by.
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    # A pool's connections idle, and the client ends what takes too long.
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
}
"""What every session has, whatever the database or the role would have."""

_KEEPALIVES: Final = {"keepalives": 1, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
# A commit must be on disk before it is told. Whether it waits for standbys is the operator's to say.
_DURABLE: Final = (
    "CASE current_setting('synchronous_commit') WHEN 'off' "
    "THEN set_config('synchronous_commit', 'on', false) END"
)
# Not every version has every setting.
_OPEN: Final = (
    "SELECT current_setting('transaction_read_only'), pg_backend_pid(), {durable}, "
    "count(set_config(name, value, false)) FROM (VALUES {settings}) AS settings (name, value) "
    "WHERE current_setting(name, true) IS NOT NULL"
)


TAKES_NO_WRITES: Final = (
    "PostgreSQL takes no writes here: it is a standby, or default_transaction_read_only is on"
)
SHARED_SESSIONS: Final = (
    f"{ENV_PREFIX}DATABASE_URL: leads through a pooler that shares sessions between clients, whose settings "
    "and statements then meet: have PgBouncer use pool_mode = session, or go past it"
)
# One that shares backends gives the next client the one that was used last; others may ask in between.
_ROUNDS: Final = 5
_ASK_CONNECT_SECONDS: Final = 2

_log = structlog.get_logger(__name__)


class ReadOnlySession(psycopg.OperationalError):
    """A session that is to write, and may not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What a kind of session is for. A time of 0 is none.

    `lasting_plans`: it only looks up rows by their keys, again and again. `writes`: it is of no use where
    nothing can be written.
    """

    application_name: str
    statement_timeout_ms: int = 0
    lock_timeout_ms: int = 0
    lasting_plans: bool = True
    writes: bool = True

    def connect_options(
        self, database_url: str, *, connect_seconds: int, unanswered_ms: int
    ) -> dict[str, Any]:
        """Return psycopg's options to stand beside `database_url`, which wins where it says something else.

        A server that is gone without a word is noticed after `unanswered_ms`. Raises psycopg.ProgrammingError
        for a URL that cannot be read.
        """
        given = conninfo_to_dict(database_url)
        defaults: dict[str, Any] = {
            "application_name": self.application_name,
            "connect_timeout": connect_seconds,
            "tcp_user_timeout": unanswered_ms,
            **_KEEPALIVES,
        }
        if any("," in str(given.get(name, "")) for name in ("host", "hostaddr")):
            # Of several servers the one that takes writes, after a failover too.
            defaults["target_session_attrs"] = "read-write"
        chosen = {name: value for name, value in defaults.items() if name not in given}
        # UTF-8 is what `PreparedStatement` writes, whatever the server or the URL would choose.
        return {**chosen, "client_encoding": "UTF8"}

    def opening(self, connection: BaseConnection[Any]) -> PQGen[int]:
        """Return the exchange that makes a new connection ours, for its `wait`; it returns the backend's id.

        A pooler between tells the client another one. Raises ReadOnlySession, and psycopg.Error for all else.
        """
        connection.pgconn.send_query(self._statement())
        [result] = yield from results_of(connection.pgconn)
        if self.writes and result.get_value(0, 0) != b"off":
            raise ReadOnlySession(TAKES_NO_WRITES)
        return int(result.get_value(0, 1) or b"0")

    def _statement(self) -> bytes:
        own = {
            "statement_timeout": str(self.statement_timeout_ms),
            "lock_timeout": str(self.lock_timeout_ms),
        }
        settings = {**RELIED_ON, **own, **(LASTING_PLANS if self.lasting_plans else {})}
        values = ", ".join(f"('{name}', '{value}')" for name, value in settings.items())
        return _OPEN.format(durable=_DURABLE, settings=values).encode()


def connect(
    database_url: str, session: Session, *, connect_seconds: int = 10, unanswered_ms: int = 30_000
) -> psycopg.Connection[Any]:
    """Return a plain connection with this session; raises psycopg.Error."""
    options = session.connect_options(
        database_url, connect_seconds=connect_seconds, unanswered_ms=unanswered_ms
    )
    connection = psycopg.connect(database_url, **options)
    try:
        connection.wait(session.opening(connection))
    except BaseException:
        connection.close()
        raise
    return connection


def refuse_shared_sessions(database_url: str) -> None:
    """Raise SettingsError where connections lead to sessions that others use in between.

    Where PostgreSQL cannot be asked now, nothing is refused: it may be away.
    """
    try:
        if keeps_session_state(database_url):
            return
    except psycopg.Error as error:
        _log.warning("session_state_unknown", error=f"{type(error).__name__}: {str(error).strip()}")
        return
    raise SettingsError(SHARED_SESSIONS)


def keeps_session_state(database_url: str, *, answer_seconds: float = 3.0) -> bool:
    """Whether each connection has a backend of its own for as long as it lives.

    With transaction pooling (PgBouncer) a backend goes to whoever asks next. Asks for seconds at most; raises
    psycopg.Error where PostgreSQL does not answer.
    """
    options = Session(application_name="cashback").connect_options(
        database_url, connect_seconds=_ASK_CONNECT_SECONDS, unanswered_ms=_ASK_CONNECT_SECONDS * 1000
    )
    with closing(psycopg.connect(database_url, **options)) as first:
        if _backend_of(first, answer_seconds) == first.pgconn.backend_pid:
            # No pooler between: one tells its clients ids of its own.
            return True
        with closing(psycopg.connect(database_url, **options)) as second:
            seen = [
                (_backend_of(first, answer_seconds), _backend_of(second, answer_seconds))
                for _ in range(_ROUNDS)
            ]
    # Both are open, so that neither may have had what the other has.
    return len(set(seen)) == 1 and seen[0][0] != seen[0][1]


def _backend_of(connection: psycopg.Connection[Any], answer_seconds: float) -> int:
    connection.pgconn.send_query(b"SELECT pg_backend_pid()")
    try:
        [result] = connection.wait(results_of(connection.pgconn), timeout=answer_seconds)
    except psycopg.errors._WaitTimeout as error:  # noqa: SLF001 - psycopg documents it under this name
        raise psycopg.OperationalError("PostgreSQL did not answer in time") from error
    return int(result.get_value(0, 0) or b"0")
