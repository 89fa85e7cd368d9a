"""What stands is brought forward: tables by a later file, functions by what the files say today."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from deploy.local.postgres import PostgresServer
from tests.support.catalogue import Catalogue, catalogue_of, differences
from worker.schema.files import FunctionFile, Migration, SchemaFiles, shipped_files
from worker.schema.migrate import Applied, migrate

SHIPPED = shipped_files()
NEXT = SHIPPED.version + 1
LATER = Migration(NEXT, "notes", "ALTER TABLE receipts ADD COLUMN note text CHECK (length(note) <= 9);")

NewDatabase = Callable[[], str]


@pytest.fixture
def new_database(postgres_server: PostgresServer) -> Iterator[NewDatabase]:
    """Give a function that makes an empty database and returns its URL."""
    names: list[sql.Identifier] = []
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:

        def new() -> str:
            name = f"forward_{uuid4().hex}"
            names.append(sql.Identifier(name))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(names[-1]))
            return postgres_server.url_of(name)

        yield new
        for name in names:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def function(name: str, parameters: str, result: str, body: str) -> FunctionFile:
    text = f"CREATE OR REPLACE FUNCTION {name}({parameters}) RETURNS {result} LANGUAGE sql AS $$ {body} $$;"
    return FunctionFile(f"functions/{name}.sql", text)


def with_functions(*files: FunctionFile, tables: tuple[Migration, ...] = ()) -> SchemaFiles:
    return replace(SHIPPED, tables=SHIPPED.tables + tables, functions=SHIPPED.functions + files)


def catalogue(database_url: str) -> Catalogue:
    with psycopg.connect(database_url, autocommit=True) as connection:
        return catalogue_of(connection)


@contextmanager
def connected(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def signatures(database_url: str, name: str) -> list[str]:
    with connected(database_url) as connection:
        rows = connection.execute(
            "SELECT oid::regprocedure::text FROM pg_proc WHERE proname = %s ORDER BY 1", (name,)
        )
        return [signature for (signature,) in rows]


def changed(applied: Applied) -> list[str]:
    return [file.name for file in applied.functions]


# What a later version could bring: each way in which one function can differ from the one before it.
BEFORE = function("sample", "p integer", "integer", "SELECT p")
CHANGES = {
    "another body": function("sample", "p integer", "integer", "SELECT p + 1"),
    "another name of a parameter": function("sample", "q integer", "integer", "SELECT q"),
    "another result": function("sample", "p integer", "text", "SELECT p::text"),
    "another type of a parameter": function("sample", "p bigint", "integer", "SELECT p::integer"),
    "more parameters": function("sample", "p integer, q integer", "integer", "SELECT p + q"),
}


@pytest.mark.parametrize("after", CHANGES.values(), ids=CHANGES)
def test_brought_forward_or_made_from_scratch_is_the_same(
    new_database: NewDatabase, after: FunctionFile
) -> None:
    forward, scratch = new_database(), new_database()
    today = with_functions(after, tables=(LATER,))
    migrate(forward, with_functions(BEFORE))

    applied = migrate(forward, today)
    migrate(scratch, today)

    assert [migration.version for migration in applied.tables] == [NEXT]
    assert differences(catalogue(forward), catalogue(scratch)) == []
    assert len(signatures(forward, "sample")) == 1


def test_only_the_file_that_changed_is_applied_again(new_database: NewDatabase) -> None:
    database_url = new_database()
    migrate(database_url, with_functions(BEFORE))

    applied = migrate(database_url, with_functions(CHANGES["another body"]))

    assert (applied.tables, changed(applied)) == ((), [BEFORE.name])
    with connected(database_url) as connection:
        assert connection.execute("SELECT sample(1)").fetchone() == (2,)


def test_a_function_that_no_file_has_any_more_is_gone(new_database: NewDatabase) -> None:
    database_url, scratch = new_database(), new_database()
    migrate(database_url, with_functions(BEFORE))
    with connected(database_url) as connection:
        connection.execute("CREATE FUNCTION somebody_elses() RETURNS integer LANGUAGE sql AS 'SELECT 1'")

    migrate(database_url)
    migrate(scratch)

    assert signatures(database_url, "sample") == []
    assert signatures(database_url, "somebody_elses") == ["somebody_elses()"]
    with connected(database_url) as connection:
        connection.execute("DROP FUNCTION somebody_elses()")
    assert differences(catalogue(database_url), catalogue(scratch)) == []


def test_a_function_that_moved_to_another_file_stays(new_database: NewDatabase) -> None:
    database_url = new_database()
    migrate(database_url, with_functions(BEFORE))

    migrate(database_url, with_functions(replace(BEFORE, name="functions/elsewhere.sql")))

    assert signatures(database_url, "sample") == ["sample(integer)"]


def test_a_trigger_goes_on_while_its_function_is_replaced(new_database: NewDatabase) -> None:
    database_url = new_database()
    migrate(database_url)
    (books, receipts) = SHIPPED.trigger_functions
    same = replace(books, sql=books.sql.replace("append-only'", "append-only, always'"))

    applied = migrate(database_url, replace(SHIPPED, trigger_functions=(same, receipts)))

    assert changed(applied) == [books.name]
    with connected(database_url) as connection, pytest.raises(psycopg.Error, match="append-only, always"):
        connection.execute("DELETE FROM entries")


def test_a_file_that_fails_leaves_nothing_of_the_run(new_database: NewDatabase) -> None:
    database_url = new_database()
    migrate(database_url, with_functions(BEFORE))
    before = catalogue(database_url)
    broken = function("broken", "", "integer", "SELECT no_such_column FROM receipts")

    with pytest.raises(psycopg.errors.UndefinedColumn):
        migrate(database_url, with_functions(CHANGES["more parameters"], broken, tables=(LATER,)))

    assert differences(before, catalogue(database_url)) == []
