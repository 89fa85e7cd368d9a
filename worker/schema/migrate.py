"""Bring a database to this program's schema: tables forward, file by file, and the functions of today."""

from dataclasses import dataclass
from typing import Final

import psycopg

from producer.shared.postgres.session import Session, connect
from worker.errors import WorkerError
from worker.schema.corrections import CorrectionRules
from worker.schema.files import FunctionFile, Migration, SchemaFiles, shipped_files
from worker.schema.functions import InstalledFunctions
from worker.schema.privileges import grant, pin
from worker.schema.roles import RoleNames, act_as_owner, make

# Any 64-bit number will do, as long as all versions of this program use the same one.
_LOCK_KEY: Final = 0x6361736862616B
_LOCK_TIMEOUT: Final = "60s"
_SESSION: Final = Session(application_name="cashback", lasting_plans=False, writes=False)


class UnknownSchemaVersion(WorkerError):
    """The database has a newer schema than this program knows; deploy the newer program first."""

    reason = "unknown_schema_version"


class SchemaBeforeBaseline(WorkerError):
    """The database was made before the first release; make a new one, and import the accounts into it."""

    reason = "schema_before_baseline"


@dataclass(frozen=True, slots=True)
class Applied:
    """What a run has changed, in the order in which it did."""

    tables: tuple[Migration, ...]
    functions: tuple[FunctionFile, ...]


def migrate(
    database_url: str,
    files: SchemaFiles | None = None,
    *,
    roles: RoleNames | None = None,
    rules: CorrectionRules | None = None,
    person: str = "cashback migrate",
) -> Applied:
    """Bring the database to the schema of these files, by default this program's, and say what was applied.

    `roles` are made, or checked where they stand, and given what they need; without them nobody but the
    owner of the schema, whom the one who migrates must be or may act as, may do anything. `rules`, where they
    are others than those that stand, are written and noted in the audit as of `person`.

    All of it happens in one transaction under an advisory lock, so several processes may call this at
    once: one applies, the others wait and find nothing left to do. Tables that stand are locked only by a
    file of `tables/` that says so. Raises UnknownSchemaVersion or SchemaBeforeBaseline, RoleMissing or
    RoleTooMighty, and psycopg.Error when the database cannot be reached or refuses a statement; nothing is
    changed then.
    """
    with connect(database_url, _SESSION) as connection, connection.transaction():
        connection.execute("SELECT set_config('lock_timeout', %s, true)", (_LOCK_TIMEOUT,))
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK_KEY,))
        if roles is not None:
            make(connection, roles)
        act_as_owner(connection, roles)
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_versions ("
            "version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        applied = _apply(connection, files or shipped_files(), roles)
        if rules is not None:
            connection.execute(
                "SELECT set_correction_rules(%s, %s, %s, %s, %s)",
                (rules.adjust_limit, rules.adjust_daily_limit, rules.approver, rules.may_overdraw, person),
            )
        return applied


def _apply(connection: psycopg.Connection, files: SchemaFiles, roles: RoleNames | None) -> Applied:
    missing = _missing_tables(connection, files)
    installed = InstalledFunctions(connection)
    if installed.version > files.functions_version:
        raise UnknownSchemaVersion(
            f"the database has version {installed.version} of the functions, this program knows up to "
            f"{files.functions_version}: deploy the newer program first"
        )
    # All of them after a change of the tables: one that does not fit them any more is to fail here.
    due = [file for file in files.function_files if missing or not installed.is_current(file)]
    for file in files.trigger_functions:
        if file in due:
            installed.apply(file, version=files.functions_version)
    for migration in missing:
        connection.execute(migration.sql.encode())
        connection.execute(
            "INSERT INTO schema_versions (version, name) VALUES (%s, %s)", (migration.version, migration.name)
        )
    for file in files.functions:
        if file in due:
            installed.apply(file, version=files.functions_version)
    installed.drop_all_but(files.function_files)
    installed.raise_version(files.functions_version)
    if due:
        # Defined again, a function is what its file says, and no more.
        pin(connection, installed.signatures)
        installed.keep_callers()
    if roles is not None:
        grant(connection, roles, tables=files.table_names, signatures=installed.signatures)
    return Applied(tuple(missing), tuple(due))


def _missing_tables(connection: psycopg.Connection, files: SchemaFiles) -> list[Migration]:
    applied = {version for (version,) in connection.execute("SELECT version FROM schema_versions")}
    if applied and not _has_record_of_functions(connection):
        raise SchemaBeforeBaseline(
            f"the database has version {max(applied)} of a schema from before the first release, and nothing "
            "leads on from there: make a new database, and run `cashback migrate` and `cashback accounts "
            "import` on it"
        )
    unknown = applied - {migration.version for migration in files.tables}
    if unknown:
        raise UnknownSchemaVersion(
            f"the database has schema version {max(unknown)}, this program knows up to {files.version}: "
            "deploy the newer program first"
        )
    return [migration for migration in files.tables if migration.version not in applied]


def _has_record_of_functions(connection: psycopg.Connection) -> bool:
    row = connection.execute("SELECT to_regclass('schema_functions') IS NOT NULL").fetchone()
    return row is not None and bool(row[0])
