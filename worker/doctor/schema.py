"""The schema: whether all of it is there, and whether what protects the books is switched on."""

import re
from typing import Any, Final, LiteralString

import psycopg

from producer.shared.preconditions.whole import MISSING_PARTS, WHOLE_AGAIN
from worker.doctor.finding import Finding, fault, good
from worker.doctor.postgresql import database
from worker.schema.files import shipped_files

_PART: Final = "schema"
_TRIGGER: Final = re.compile(r"^CREATE (?:CONSTRAINT )?TRIGGER (\w+)\s[^;]*?\bON (\w+)", re.MULTILINE)
_TABLE_WITH_KEY: Final = re.compile(r"^CREATE TABLE (\w+) \([^;]*?\bPRIMARY KEY\b", re.MULTILINE)
_INDEX: Final = re.compile(r"^CREATE (?:UNIQUE )?INDEX (\w+)", re.MULTILINE)
_OF_THE_BOOKS: Final = "missing_parts"
_MAX_NAMED: Final = 8
_MISSING: Final[LiteralString] = """
    SELECT 'table ' || name FROM unnest(%(tables)s::text[]) AS name WHERE to_regclass(name) IS NULL
    UNION ALL
    SELECT 'function ' || name FROM unnest(%(functions)s::text[]) AS name
    WHERE NOT EXISTS (
        SELECT FROM pg_proc WHERE proname = name AND pg_function_is_visible(pg_proc.oid)
    )
    UNION ALL
    SELECT 'trigger ' || trigger || ' on ' || on_table
    FROM unnest(%(triggers)s::text[], %(on_tables)s::text[]) AS expected (trigger, on_table)
    WHERE to_regclass(on_table) IS NOT NULL AND NOT EXISTS (
        SELECT FROM pg_trigger WHERE tgrelid = to_regclass(on_table) AND tgname = trigger
            AND tgenabled IN ('O', 'A')
    )
    UNION ALL
    SELECT 'index ' || name FROM unnest(%(indexes)s::text[]) AS name
    WHERE NOT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass(name) AND indisvalid)
    UNION ALL
    SELECT 'primary key of ' || name FROM unnest(%(keyed)s::text[]) AS name
    WHERE to_regclass(name) IS NOT NULL AND NOT EXISTS (
        SELECT FROM pg_constraint WHERE conrelid = to_regclass(name) AND contype = 'p'
    )
"""
_UNCHECKED: Final[LiteralString] = """
    SELECT conname::text || ' on ' || conrelid::regclass::text FROM pg_constraint
    WHERE NOT convalidated AND conrelid = ANY (SELECT to_regclass(name)::oid FROM unnest(%s::text[]) AS name)
"""


def check_schema(timeout_seconds: float) -> list[Finding]:
    """Compare what stands in the database with the files of this program; `postgresql` has the versions."""
    with database(timeout_seconds) as connection:
        [(has_any,)] = connection.execute("SELECT to_regclass('schema_versions') IS NOT NULL").fetchall()
        if not has_any:
            what = "the database does not have the schema of this program"
            return [fault(_PART, "schema_missing", what, "run `cashback migrate` with the owner's URL")]
        missing = missing_parts(connection)
        if missing:
            return [_not_whole(missing)]
    count = len(shipped_files().table_names)
    return [good(_PART, "schema_whole", f"all {count} tables have their triggers, functions and indexes")]


def missing_parts(connection: psycopg.Connection[Any]) -> list[str]:
    """Return what the database lacks of the schema that ships with this program, in words."""
    files = shipped_files()
    text = "\n".join(migration.sql for migration in files.tables)
    triggers = _TRIGGER.findall(text)
    names = {
        "tables": files.table_names,
        "functions": [name for file in files.function_files for name in file.functions],
        "triggers": [trigger for trigger, _ in triggers],
        "on_tables": [table for _, table in triggers],
        "keyed": _TABLE_WITH_KEY.findall(text),
        "indexes": _INDEX.findall(text),
    }
    missing = [part for (part,) in connection.execute(_MISSING, names).fetchall()]
    unchecked = connection.execute(_UNCHECKED, (files.table_names,)).fetchall()
    missing += [f"validity of {name}" for (name,) in unchecked]
    if f"function {_OF_THE_BOOKS}" not in missing:
        # What the database asks before it moves money: checks, rights, and whether triggers run at all.
        [(of_the_books,)] = connection.execute(MISSING_PARTS).fetchall()
        missing += [part for part in of_the_books if not any(part in each for each in missing)]
    return missing


def _not_whole(missing: list[str]) -> Finding:
    named = ", ".join(missing[:_MAX_NAMED])
    more = f" and {len(missing) - _MAX_NAMED} more" if len(missing) > _MAX_NAMED else ""
    return fault(
        _PART,
        "schema_not_whole",
        f"the schema is not whole: it lacks {named}{more}. Books without them can be made wrong",
        WHOLE_AGAIN,
    )
