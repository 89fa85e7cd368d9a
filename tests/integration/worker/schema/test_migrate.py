"""Migrations on a real PostgreSQL: once each, in order, from several processes at once, or not at all."""

import psycopg
import pytest

from tests.support import command
from worker.schema.files import shipped_files
from worker.schema.migrate import Applied, SchemaBeforeBaseline, UnknownSchemaVersion, migrate


def versions(database_url: str) -> list[tuple[int, str]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute("SELECT version, name FROM schema_versions ORDER BY version").fetchall()


def tables(database_url: str) -> list[str]:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return [name for (name,) in rows]


FILES = shipped_files()
KNOWN = [(migration.version, migration.name) for migration in FILES.tables]


def test_an_empty_database_gets_every_file_in_order(empty_database_url: str) -> None:
    applied = migrate(empty_database_url)

    assert applied == Applied(FILES.tables, FILES.function_files)
    assert versions(empty_database_url) == KNOWN


def test_a_migrated_database_is_left_as_it_is(database_url: str) -> None:
    assert migrate(database_url) == Applied((), ())
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
    functions = sorted(one.document["functions"] for one in finished)
    assert functions == [[], [], [file.name for file in FILES.function_files]]
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


def test_the_schema_from_before_the_baseline_is_refused_and_left_alone(empty_database_url: str) -> None:
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
    assert tables(empty_database_url) == ["schema_versions"]
    assert versions(empty_database_url) == [(1, "books"), (12, "token_octets")]


def test_a_migration_that_fails_leaves_nothing_of_any_of_them(empty_database_url: str) -> None:
    # The second migration makes a table of this name; the first one would go through.
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("CREATE TABLE receipts (unrelated integer)")

    failed = command.run("migrate", database_url=empty_database_url)

    assert (failed.exit_code, failed.stdout) == (1, "")
    assert failed.stderr == 'Error: PostgreSQL refused: relation "receipts" already exists\n'
    assert tables(empty_database_url) == ["receipts"]
