"""Apply the numbered SQL files of `worker/schema/` to a database, each once and in order."""

import re
from dataclasses import dataclass
from importlib import resources
from typing import Final

import psycopg

from worker.errors import WorkerError

# Any 64-bit number will do, as long as all versions of this program use the same one.
_LOCK_KEY: Final = 0x6361736862616B
_FILE_NAME: Final = re.compile(r"(?P<version>\d{4})_(?P<name>\w+)\.sql")
_LOCK_TIMEOUT: Final = "60s"


class UnknownSchemaVersion(WorkerError):
    """The database has a newer schema than this program knows; deploy the newer program first."""

    reason = "unknown_schema_version"


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of `worker/schema/`: its number, its name, and its SQL."""

    version: int
    name: str
    sql: str


def known_migrations() -> list[Migration]:
    """Return the migrations that ship with this program, oldest first."""
    found = []
    for file in resources.files("worker").joinpath("schema").iterdir():
        match = _FILE_NAME.fullmatch(file.name)
        if match:
            found.append(Migration(int(match["version"]), match["name"], file.read_text("utf-8")))
    return sorted(found, key=lambda migration: migration.version)


def migrate(database_url: str) -> list[Migration]:
    """Bring the database to this program's schema and return what was applied, oldest first.

    All of it happens in one transaction under an advisory lock, so several processes may call this at
    once: one applies, the others wait and find nothing left to do. Raises UnknownSchemaVersion, and
    psycopg.Error when the database cannot be reached.
    """
    with psycopg.connect(database_url, connect_timeout=10) as connection, connection.transaction():
        connection.execute("SELECT set_config('lock_timeout', %s, true)", (_LOCK_TIMEOUT,))
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK_KEY,))
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_versions ("
            "version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        return _apply_missing(connection)


def _apply_missing(connection: psycopg.Connection) -> list[Migration]:
    known = known_migrations()
    applied = {row[0] for row in connection.execute("SELECT version FROM schema_versions")}
    unknown = applied - {migration.version for migration in known}
    if unknown:
        raise UnknownSchemaVersion(
            f"the database has schema version {max(unknown)}, this program knows up to {known[-1].version}: "
            "deploy the newer program first"
        )
    missing = [migration for migration in known if migration.version not in applied]
    for migration in missing:
        connection.execute(migration.sql)
        connection.execute(
            "INSERT INTO schema_versions (version, name) VALUES (%s, %s)", (migration.version, migration.name)
        )
    return missing
