"""Migrations on a real PostgreSQL: once each, in order, from several processes at once, or not at all."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from deploy.local.postgres import PostgresServer
from tests.support import command
from worker.schema.files import shipped_files
from worker.schema.migrate import SchemaBeforeBaseline, UnknownSchemaVersion, migrate


@pytest.fixture
def empty_database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """Give the URL of a database of the test's own with nothing in it."""
    name = sql.Identifier(f"empty_{uuid4().hex}")
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        yield postgres_server.url_of(name.as_string().strip('"'))
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def versions(database_url: str) -> list[tuple[int, str]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute("SELECT version, name FROM schema_versions ORDER BY version").fetchall()


FILES = shipped_files()
KNOWN = [(migration.version, migration.name) for migration in FILES.tables]
FUNCTION_FILES = [file.name for file in FILES.function_files]


def test_migrations_are_numbered_without_gaps_from_one() -> None:
    assert [version for version, _ in KNOWN] == list(range(1, len(KNOWN) + 1))


def test_an_empty_database_gets_every_migration_in_order(empty_database_url: str) -> None:
    applied = migrate(empty_database_url)

    assert [(migration.version, migration.name) for migration in applied.tables] == KNOWN
    assert [file.name for file in applied.functions] == FUNCTION_FILES
    assert versions(empty_database_url) == KNOWN


def test_a_migrated_database_is_left_as_it_is(database_url: str) -> None:
    applied = migrate(database_url)

    assert (applied.tables, applied.functions) == ((), ())
    assert versions(database_url) == KNOWN


def test_processes_that_migrate_at_once_apply_each_migration_once(empty_database_url: str) -> None:
    # All of them wait for this lock first, so that they really meet.
    with psycopg.connect(empty_database_url) as gate:
        gate.execute("SELECT pg_advisory_xact_lock(%s)", (0x6361736862616B,))
        processes = [command.start("migrate", "--json", database_url=empty_database_url) for _ in range(3)]
        try:
            _wait_for_waiting_sessions(gate, count=len(processes))
        finally:
            gate.rollback()
            finished = [command.finish(process) for process in processes]

    applied = [[each["version"] for each in one.document["applied"]] for one in finished]
    assert sorted(applied) == [[], [], [version for version, _ in KNOWN]]
    assert {one.document["version"] for one in finished} == {KNOWN[-1][0]}
    assert versions(empty_database_url) == KNOWN


def _wait_for_waiting_sessions(connection: psycopg.Connection, *, count: int) -> None:
    while True:
        row = connection.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ).fetchone()
        assert row is not None
        if row[0] == count:
            return
        connection.execute("SELECT pg_sleep(0.05)")


def test_a_newer_schema_is_refused_and_left_alone(database_url: str) -> None:
    newest = KNOWN[-1][0]
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO schema_versions (version, name) VALUES (%s, 'from_the_future')", (newest + 7,)
        )

    with pytest.raises(UnknownSchemaVersion):
        migrate(database_url)
    refused = command.run("migrate", database_url=database_url)

    assert refused.exit_code == 1
    assert refused.stdout == ""
    assert refused.stderr == (
        f"Error: the database has schema version {newest + 7}, this program knows up to {newest}: "
        "deploy the newer program first\n"
    )
    assert versions(database_url) == [*KNOWN, (newest + 7, "from_the_future")]


def test_a_schema_from_before_the_baseline_is_refused_and_left_alone(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("CREATE TABLE schema_versions (version integer PRIMARY KEY, name text NOT NULL)")
        connection.execute("INSERT INTO schema_versions VALUES (1, 'books'), (12, 'token_octets')")

    with pytest.raises(SchemaBeforeBaseline):
        migrate(empty_database_url)
    refused = command.run("migrate", database_url=empty_database_url)

    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr == (
        "Error: the database has version 12 of a schema from before the first release, and nothing leads on "
        "from there: make a new database, and run `cashback migrate` and `cashback accounts import` on it\n"
    )
    assert versions(empty_database_url) == [(1, "books"), (12, "token_octets")]
    with psycopg.connect(empty_database_url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert tables == [("schema_versions",)]


def test_a_migration_that_fails_leaves_nothing_of_any_of_them(empty_database_url: str) -> None:
    # The second migration makes a table of this name; the first one would go through.
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("CREATE TABLE receipts (unrelated integer)")

    failed = command.run("migrate", database_url=empty_database_url)

    assert (failed.exit_code, failed.stdout) == (1, "")
    assert failed.stderr == 'Error: PostgreSQL refused: relation "receipts" already exists\n'
    with psycopg.connect(empty_database_url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert tables == [("receipts",)]
