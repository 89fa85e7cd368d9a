"""What is asked of PostgreSQL, and what its answers mean."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString, Self

import psycopg

from producer.shared.preconditions.verdict import CONFIRM_REFUSAL_SECONDS, NEVER, Kind, Verdict
from producer.shared.preconditions.whole import MISSING_PARTS, of_parts, why_not_whole
from producer.shared.settings.environment import ENV_PREFIX, SettingsError

TABLES_VERSION: Final = 8
"""The last migration that this program knows; a test holds both versions to `worker.schema.files`."""
FUNCTIONS_VERSION: Final = 1

RECORDS: Final = "record_receipts"
"""What a receiver calls, and"""
SETTLES: Final = "settle_event"
"""what a worker does;"""
OPERATES: Final = "prepare_accounts_import"
"""what a person may call, by the command."""

STATE: Final[LiteralString] = """
    SELECT current_setting('server_version_num')::int, current_setting('server_encoding'),
        pg_is_in_recovery(), current_setting('transaction_read_only')::boolean,
        to_regproc('record_receipts') IS NOT NULL AND to_regproc('settle_event') IS NOT NULL
            AND to_regclass('schema_versions') IS NOT NULL AND to_regclass('schema_functions') IS NOT NULL,
        has_function_privilege(to_regproc(%s), 'EXECUTE'),
        (SELECT pg_has_role(relowner, 'MEMBER') FROM pg_class WHERE oid = to_regclass('receipts')),
        to_regclass('receipts_pkey') IS NOT NULL
"""
"""One row, for `PostgresState.of`; the parameter is RECORDS, SETTLES or OPERATES. It reads the
catalog alone.
"""

_VERSIONS: Final[LiteralString] = (
    "SELECT (SELECT max(version) FROM schema_versions), (SELECT max(version) FROM schema_functions)"
)
_SETTING: Final = f"{ENV_PREFIX}DATABASE_URL"
_LEAST_VERSION: Final = 140_000
_CONNECT_SECONDS: Final = 3
_STATEMENT_MS: Final = 3_000
# libpq gives no SQLSTATE for a connection that is refused, so its words must do. A server that speaks another
# language is taken for one that cannot be reached.
_REFUSED: Final = re.compile(
    r"authentication failed|no pg_hba\.conf entry|no password supplied|role \".*\" does not exist"
    r"|is not permitted to log in|permission denied for database",
)
_NO_DATABASE: Final = re.compile(r"database \".*\" does not exist")
_ONE_ROLE: Final = Verdict(
    name="one_database_role",
    kind=Kind.ADVICE,
    what=f"the role of {_SETTING} owns the books: whoever has its password may write what they like",
    what_to_do="run `cashback migrate` with CASHBACK_DATABASE_ROLES, and give each process a role of its own",
)
_MIGRATE: Final = "run `cashback migrate` (the process `release`) with the same settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresState:
    """How the server and the database stand.

    `may_write`, by calling the function that was asked about, is None where there is none. `owns_schema`: it
    may do anything with the books. `has_receipts_key`: a receipt can be recorded.
    """

    version: int
    encoding: str
    is_standby: bool
    is_read_only: bool
    has_schema: bool
    may_write: bool | None
    owns_schema: bool | None = None
    has_receipts_key: bool = True

    @classmethod
    def of(cls, row: Sequence[Any]) -> Self:
        """Read the row of `STATE`."""
        version, encoding, is_standby, is_read_only, has_schema, may_write, owns_schema, has_key = row
        return cls(
            version=version,
            encoding=encoding,
            is_standby=is_standby,
            is_read_only=is_read_only,
            has_schema=has_schema,
            may_write=may_write,
            owns_schema=owns_schema,
            has_receipts_key=has_key,
        )

    @property
    def why_no_writes(self) -> str | None:
        """Why nothing could be written now, or None where it could be."""
        if self.is_standby:
            return "it is a standby, which takes no writes"
        if self.is_read_only:
            return "it takes no writes: its transactions are read-only"
        if not self.has_schema:
            return "the database has no schema yet; run `cashback migrate`"
        if not self.may_write:
            return "the role may not call the functions that it needs"
        if not self.has_receipts_key:
            return why_not_whole(["unique index receipts_pkey"])
        return None


@dataclass(frozen=True, slots=True)
class SchemaVersions:
    """What stands in the database; None where there is none yet."""

    tables: int | None
    functions: int | None


def check_postgres(database_url: str, calls: str) -> list[Verdict]:
    """Ask, through a connection of its own, and return what is wrong. Raises SettingsError.

    `calls` is RECORDS, SETTLES or OPERATES: the role must be able to.
    """
    try:
        with psycopg.connect(
            database_url,
            autocommit=True,
            connect_timeout=_CONNECT_SECONDS,
            client_encoding="UTF8",
            application_name="cashback-check",
        ) as connection:
            # Not in the options: a pooler may refuse those.
            connection.execute(f"SET statement_timeout = {_STATEMENT_MS}")
            return _asked(connection, calls)
    except psycopg.ProgrammingError as error:
        if error.sqlstate is None:
            # Without libpq's own words, which may quote the password.
            raise SettingsError(f"{_SETTING}: is no URL that PostgreSQL's client can read") from None
        return [of_error(error)]
    except psycopg.Error as error:
        return [of_error(error)]


def _asked(connection: psycopg.Connection, calls: str) -> list[Verdict]:
    [row] = connection.execute(STATE, (calls,)).fetchall()
    state = PostgresState.of(row)
    if not state.has_schema:
        return of_state(state, None)
    try:
        [versions] = connection.execute(_VERSIONS).fetchall()
    except psycopg.errors.InsufficientPrivilege as error:
        return of_state(state, None) or [_refused(_last_line(error))]
    verdicts = of_state(state, SchemaVersions(*versions))
    if all(verdict.kind is Kind.ADVICE for verdict in verdicts):
        [(missing,)] = connection.execute(MISSING_PARTS).fetchall()
        return [*of_parts(missing), *verdicts]
    return verdicts


def of_state(state: PostgresState, versions: SchemaVersions | None) -> list[Verdict]:
    """Return what is wrong with a server that answers."""
    verdicts = []
    if state.version < _LEAST_VERSION:
        what = f"PostgreSQL {state.version // 10_000} is older than 14"
        verdicts.append(_fatal("postgresql_version", what, "run version 14 or later"))
    if state.encoding != "UTF8":
        what = f"the database's encoding is {state.encoding}, in which not every user's name can be written"
        verdicts.append(
            _fatal("postgresql_encoding", what, "make a database WITH (ENCODING 'UTF8', TEMPLATE template0)")
        )
    if state.is_standby or state.is_read_only:
        # What else it says is the primary's to say: in a failover this ends nothing.
        return [*verdicts, _takes_no_writes(state.why_no_writes or "")]
    if not state.has_schema:
        verdicts.append(
            _fatal("schema_missing", "the database does not have the schema of this program", _MIGRATE)
        )
    elif not state.may_write:
        verdicts.append(_refused("it may not call the functions that it needs"))
    if versions is not None:
        verdicts += _of_versions(versions)
    return verdicts or ([_ONE_ROLE] if state.owns_schema else [])


def _of_versions(versions: SchemaVersions) -> list[Verdict]:
    known = SchemaVersions(TABLES_VERSION, FUNCTIONS_VERSION)
    tables, functions = versions.tables or 0, versions.functions or 0
    stands = f"version {tables} of the tables and {functions} of the functions"
    knows = f"this program has {known.tables} and {known.functions}"
    if tables > TABLES_VERSION or functions > FUNCTIONS_VERSION:
        return [
            Verdict(
                name="schema_newer",
                kind=Kind.FATAL,
                what=f"the database's schema is newer than this program: it has {stands}, {knows}",
                what_to_do="deploy the newer program",
                # A deployment migrates first, and the programs of before serve until theirs is replaced.
                confirm_seconds=NEVER,
            )
        ]
    if tables < TABLES_VERSION or functions < FUNCTIONS_VERSION:
        what = f"the database's schema is older than this program: it has {stands}, {knows}"
        return [_fatal("schema_missing", what, _MIGRATE)]
    return []


def of_error(error: psycopg.Error) -> Verdict:
    """Return what it means that PostgreSQL could not be asked."""
    text = _last_line(error)
    if isinstance(error, psycopg.errors.InsufficientPrivilege) or _REFUSED.search(text):
        return _refused(text)
    if _NO_DATABASE.search(text):
        return _fatal("schema_missing", f"PostgreSQL: {text}", f"create the database, and {_MIGRATE}")
    return Verdict(
        name="postgresql_unreachable",
        kind=Kind.PASSING,
        what=f"PostgreSQL cannot be reached ({text})",
        what_to_do=f"check {_SETTING} and that it runs; it is asked again",
    )


def _last_line(error: psycopg.Error) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _fatal(name: str, what: str, what_to_do: str) -> Verdict:
    return Verdict(name=name, kind=Kind.FATAL, what=what, what_to_do=what_to_do)


def _refused(text: str) -> Verdict:
    return Verdict(
        name="postgresql_refused",
        kind=Kind.FATAL,
        what=f"PostgreSQL refuses the service's role ({text})",
        what_to_do=f"correct the login in {_SETTING}, or grant the role what it needs",
        confirm_seconds=CONFIRM_REFUSAL_SECONDS,
    )


def _takes_no_writes(why: str) -> Verdict:
    return Verdict(
        name="postgresql_takes_no_writes",
        kind=Kind.PASSING,
        what=f"PostgreSQL: {why}",
        what_to_do="promote it, or name the primary; it is asked again",
    )
