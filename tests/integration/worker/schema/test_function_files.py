"""Functions stand as their files say them, whatever stood before: as in a schema that is made today."""

from dataclasses import replace

import psycopg
import pytest

from tests.support.catalogue import differences
from tests.support.later_schema import (
    FILES,
    GUARD,
    LATER,
    NOTES,
    do,
    edited,
    names_of_functions,
    read,
    with_notes,
)
from tests.support.roles import TEST_ROLES
from worker.schema.files import FunctionFile, Migration
from worker.schema.migrate import Applied, migrate

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


def test_a_schema_brought_forward_is_the_one_from_scratch(database_url: str, made_today: str) -> None:
    forward = migrate(database_url, with_notes())
    scratch = migrate(made_today, with_notes(), roles=TEST_ROLES)

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
    migrate(made_today, changed, roles=TEST_ROLES)

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
    migrate(made_today, without_file, roles=TEST_ROLES)

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
    migrate(made_today, files, roles=TEST_ROLES)

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
    assert row == ("{cashback_owner=X/cashback_owner}",)


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
