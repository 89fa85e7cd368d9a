"""Functions stand as their files say them, whatever stood before: as in a schema that is made today."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest

from deploy.local.postgres import PostgresServer
from deploy.local.processes import wait_until
from tests.support.books import SOUND, add_user, audit, database_of, ledger_on, new_event, payout
from tests.support.catalogue import Catalogue, catalogue_of, differences
from worker.ledger.ledger import Ledger, SettlementRequest
from worker.schema.files import FunctionFile, Migration, SchemaFiles, shipped_files
from worker.schema.functions import ForeignFunction
from worker.schema.migrate import Applied, UnknownSchemaVersion, migrate

FILES = shipped_files()
LATER = Migration(
    FILES.version + 1,
    "notes",
    """
    CREATE TABLE notes (note_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text NOT NULL);
    ALTER TABLE receipts ADD COLUMN note_id bigint REFERENCES notes;
    CREATE TRIGGER notes_guard BEFORE UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION guard_note();
    """,
)
GUARD = FunctionFile(
    "trigger_functions/notes.sql",
    """
CREATE OR REPLACE FUNCTION guard_note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
""",
)
NOTES = FunctionFile(
    "functions/notes.sql",
    """
CREATE OR REPLACE FUNCTION note_of(p_note_id bigint) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT text FROM notes WHERE note_id = $1
$$;
CREATE OR REPLACE FUNCTION count_notes() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT count(*) FROM notes
$$;
""",
)
ASKED: tuple[tuple[str, str, str], ...] = (
    ("another body", "SELECT count(*) FROM notes", "SELECT count(*) + 1 FROM notes"),
    (
        "another volatility and settings",
        "bigint LANGUAGE sql STABLE",
        "bigint LANGUAGE sql SET work_mem = '1MB'",
    ),
    ("another result", "count_notes() RETURNS bigint", "count_notes() RETURNS numeric"),
    ("other types of parameters", "note_of(p_note_id bigint)", "note_of(p_note_id integer)"),
    ("more parameters", "note_of(p_note_id bigint)", "note_of(p_note_id bigint, p_other text)"),
    ("other names of parameters", "note_of(p_note_id bigint)", "note_of(note_id bigint)"),
    ("a set for a value", "RETURNS text LANGUAGE", "RETURNS SETOF text LANGUAGE"),
)


def with_notes(*, guard: FunctionFile = GUARD, notes: FunctionFile = NOTES) -> SchemaFiles:
    """Return this program's files and those of a later version of it."""
    return SchemaFiles(
        trigger_functions=(*FILES.trigger_functions, guard),
        tables=(*FILES.tables, LATER),
        functions=(*FILES.functions, notes),
        functions_version=FILES.functions_version,
    )


def edited(file: FunctionFile, old: str, new: str) -> FunctionFile:
    """Return the file with one thing in it said in another way."""
    assert file.sql.count(old) == 1
    return replace(file, sql=file.sql.replace(old, new))


def read(database_url: str) -> Catalogue:
    """Describe the schema of a database."""
    with psycopg.connect(database_url) as connection:
        return catalogue_of(connection)


def names_of_functions(database_url: str) -> set[str]:
    return {str(row[0]).partition("(")[0] for row in read(database_url)["functions"]}


def do(database_url: str, *statements: str) -> None:
    with psycopg.connect(database_url) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@pytest.fixture
def made_today(postgres_server: PostgresServer) -> Iterator[str]:
    """Give the URL of a second empty database, for a schema from scratch."""
    with database_of(postgres_server, "template1") as url:
        yield url


def test_a_schema_brought_forward_is_the_one_from_scratch(database_url: str, made_today: str) -> None:
    forward = migrate(database_url, with_notes())
    scratch = migrate(made_today, with_notes())

    assert forward.tables == (LATER,)
    assert scratch.tables == (*FILES.tables, LATER)
    assert "count_notes" in names_of_functions(database_url)
    assert differences(read(database_url), read(made_today)) == []


@pytest.mark.parametrize(("old", "new"), [pair for _, *pair in ASKED], ids=[name for name, *_ in ASKED])
def test_a_changed_file_is_applied_again_and_leaves_nothing_of_before(
    database_url: str, made_today: str, old: str, new: str
) -> None:
    migrate(database_url, with_notes())
    changed = with_notes(notes=edited(NOTES, old, new))

    applied = migrate(database_url, changed)
    again = migrate(database_url, changed)
    migrate(made_today, changed)

    assert applied == Applied((), (changed.functions[-1],))
    assert again == Applied((), ())
    assert differences(read(database_url), read(made_today)) == []


def test_functions_that_are_in_no_file_any_more_are_gone(database_url: str, made_today: str) -> None:
    migrate(database_url, with_notes())
    start = NOTES.sql.index("CREATE OR REPLACE FUNCTION count_notes")
    without_one = with_notes(notes=replace(NOTES, sql=NOTES.sql[:start]))
    without_file = replace(without_one, functions=FILES.functions)

    migrate(database_url, without_one)
    left = names_of_functions(database_url) & {"note_of", "count_notes"}
    migrate(database_url, without_file)
    migrate(made_today, without_file)

    assert left == {"note_of"}
    assert differences(read(database_url), read(made_today)) == []


def test_a_function_that_moves_to_another_file_and_changes_its_result_stands_once(
    database_url: str, made_today: str
) -> None:
    migrate(database_url, with_notes())
    start = NOTES.sql.index("CREATE OR REPLACE FUNCTION count_notes")
    moved = FunctionFile(
        "functions/counts.sql", NOTES.sql[start:].replace("RETURNS bigint", "RETURNS numeric")
    )
    files = with_notes(notes=replace(NOTES, sql=NOTES.sql[:start]))
    files = replace(files, functions=(moved, *files.functions))

    migrate(database_url, files)
    migrate(made_today, files)

    assert differences(read(database_url), read(made_today)) == []


def test_a_changed_trigger_function_is_what_its_triggers_call(database_url: str) -> None:
    migrate(database_url, with_notes())
    do(database_url, "INSERT INTO notes (text) VALUES ('first')", "UPDATE notes SET text = 'second'")
    migrate(database_url, with_notes(guard=edited(GUARD, "RETURN NULL", "RETURN NEW")))

    do(database_url, "UPDATE notes SET text = text || ' and third'")

    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT text FROM notes").fetchall() == [("first and third",)]


def test_a_trigger_function_that_triggers_still_call_is_not_dropped(database_url: str) -> None:
    migrate(database_url, with_notes())
    before = read(database_url)
    without_guard = replace(with_notes(), trigger_functions=FILES.trigger_functions)

    with pytest.raises(psycopg.errors.DependentObjectsStillExist, match="guard_note"):
        migrate(database_url, without_guard)

    assert read(database_url) == before


def test_what_is_defined_in_place_keeps_its_privileges_and_other_peoples_functions_stay(
    database_url: str,
) -> None:
    migrate(database_url, with_notes())
    do(
        database_url,
        "CREATE FUNCTION operators_own() RETURNS bigint LANGUAGE sql AS $$ SELECT count_notes() $$",
        "REVOKE EXECUTE ON FUNCTION count_notes() FROM PUBLIC",
    )

    migrate(database_url, with_notes(notes=edited(NOTES, "SELECT count(*) FROM", "SELECT 7 + count(*) FROM")))

    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT operators_own()").fetchone() == (7,)
        row = connection.execute("SELECT proacl::text FROM pg_proc WHERE proname = 'count_notes'").fetchone()
    assert row == ("{postgres=X/postgres}",)


def test_after_a_change_of_tables_a_function_that_does_not_fit_them_is_refused(database_url: str) -> None:
    migrate(database_url, with_notes())
    before = read(database_url)
    drop = Migration(LATER.version + 1, "no_text", "ALTER TABLE notes DROP COLUMN text")
    files = replace(with_notes(), tables=(*with_notes().tables, drop))

    with pytest.raises(psycopg.errors.UndefinedColumn, match="text"):
        migrate(database_url, files)

    assert read(database_url) == before


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("SELECT count(*) FROM notes", "SELECT count(*) FROM no_table", psycopg.errors.UndefinedTable),
        # As PostgreSQL refuses another result, but for good.
        ("count_notes() RETURNS bigint", "count_notes(a int, a int) RETURNS bigint",
         psycopg.errors.InvalidFunctionDefinition),
    ],
    ids=["the last function", "a definition that is none"],
)  # fmt: skip
def test_a_file_that_fails_leaves_nothing_of_the_run(
    database_url: str, old: str, new: str, error: type[psycopg.Error]
) -> None:
    before = read(database_url)

    with pytest.raises(error):
        migrate(database_url, with_notes(notes=edited(NOTES, old, new)))

    assert read(database_url) == before
    assert migrate(database_url) == Applied((), ())


def test_functions_of_a_later_version_are_not_put_back_by_an_older_one(database_url: str) -> None:
    added = FunctionFile(
        "functions/added.sql",
        "CREATE OR REPLACE FUNCTION added() RETURNS integer LANGUAGE sql AS $$ SELECT 1 $$;",
    )
    functions = (in_place(FILES.functions[0]), *FILES.functions[1:], added)
    migrate(database_url, replace(FILES, functions=functions, functions_version=FILES.functions_version + 1))
    before = read(database_url)

    with pytest.raises(UnknownSchemaVersion, match=r"version \d+ of the functions"):
        migrate(database_url)

    assert read(database_url) == before


def test_a_function_that_a_later_version_dropped_is_not_brought_back_by_an_older(
    database_url: str,
) -> None:
    migrate(database_url, with_notes())
    without = replace(with_notes(), functions=FILES.functions, functions_version=FILES.functions_version + 1)
    migrate(database_url, without)
    before = read(database_url)

    with pytest.raises(UnknownSchemaVersion, match=r"version \d+ of the functions"):
        migrate(database_url, with_notes())

    assert read(database_url) == before


def test_an_overload_of_somebody_elses_stays(database_url: str) -> None:
    overload = "CREATE FUNCTION {}(a text, b text, c text) RETURNS text LANGUAGE sql AS $$ SELECT a $$"
    do(database_url, *(overload.format(name) for name in ("close_event", "count_notes")))

    migrate(database_url, with_notes())
    notes = edited(NOTES, "count_notes() RETURNS bigint", "count_notes() RETURNS numeric")
    migrate(
        database_url, replace(with_notes(notes=notes), functions=(*map(in_place, FILES.functions), notes))
    )
    migrate(database_url, replace(with_notes(), functions=FILES.functions))

    with psycopg.connect(database_url) as connection:
        for name in ("close_event", "count_notes"):
            row = connection.execute(f"SELECT {name}('a', 'b', 'c')".encode()).fetchone()
            assert row == ("a",)


def test_a_function_of_somebody_elses_is_not_replaced(database_url: str) -> None:
    do(database_url, "CREATE FUNCTION count_notes() RETURNS bigint LANGUAGE sql AS $$ SELECT 7::bigint $$")
    before = read(database_url)

    with pytest.raises(ForeignFunction, match=r"count_notes\(\)"):
        migrate(database_url, with_notes())

    assert read(database_url) == before


def test_a_schema_with_an_odd_name_is_no_trouble(database_url: str) -> None:
    do(database_url, 'CREATE SCHEMA "Odd-name"')
    url = f"{database_url}?options=-csearch_path%3D%22Odd-name%22"

    migrate(url, with_notes())

    assert migrate(url, with_notes()) == Applied((), ())


def test_a_database_of_a_later_version_keeps_its_functions(database_url: str) -> None:
    migrate(database_url, with_notes())
    before = read(database_url)

    with pytest.raises(UnknownSchemaVersion):
        migrate(database_url)

    assert read(database_url) == before


def settled_by_hand(ledger: Ledger, cashback_id: int) -> list[int | None]:
    """Settle one event alone and one in a group; return their codes."""
    alone = ledger.settle(new_event(cashback_id), payout(cashback_id, "ann", "10"))
    request = SettlementRequest(
        event=new_event(cashback_id + 1),
        instruction=payout(cashback_id + 1, "ann", "10"),
        attempt_seconds=3.0,
    )
    in_group = ledger.settle_group([request], deadline=ledger.next_deadline())
    return [alone.code, *(each.code for each in in_group.values())]


def in_place(file: FunctionFile) -> FunctionFile:
    return replace(file, sql=file.sql + "-- Changed.\n")


def made_anew(file: FunctionFile) -> FunctionFile:
    return replace(file, sql=re.sub(r"\bp_(hold_seconds|events)\b", r"p_new_\1", file.sql) + "-- Changed.\n")


@pytest.mark.parametrize("change", [in_place, made_anew])
def test_a_worker_goes_on_while_functions_change_and_after(
    database_url: str, change: Callable[[FunctionFile], FunctionFile]
) -> None:
    last = FunctionFile("functions/zz_gate.sql", "SELECT pg_advisory_xact_lock(42);")
    files = SchemaFiles(
        trigger_functions=tuple(map(change, FILES.trigger_functions)),
        tables=FILES.tables,
        functions=(*map(change, FILES.functions), last),
        functions_version=FILES.functions_version,
    )
    with (
        psycopg.connect(database_url, autocommit=True) as connection,
        psycopg.connect(database_url) as gate,
        ledger_on(database_url, size=1) as ledger,
        ThreadPoolExecutor(1) as threads,
    ):
        add_user(connection, "ann")
        codes = settled_by_hand(ledger, 1)
        gate.execute("SELECT pg_advisory_xact_lock(42)")
        migrating = threads.submit(migrate, database_url, files)
        wait_until(lambda: somebody_waits(connection), what="all but the commit is done", timeout_seconds=60)

        codes += settled_by_hand(ledger, 3)
        gate.rollback()
        applied = migrating.result(60)
        codes += settled_by_hand(ledger, 5)

        assert applied.functions == files.function_files
        assert codes == [200] * 6
        assert audit(connection) == SOUND


def somebody_waits(connection: psycopg.Connection) -> bool:
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND NOT granted)"
    ).fetchone()
    return row is not None and bool(row[0])
