"""The schema files of this program and of a later version of it."""

from dataclasses import replace

import psycopg

from tests.support.catalogue import Catalogue, catalogue_of
from worker.schema.files import FunctionFile, Migration, SchemaFiles, shipped_files

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
