"""The SQL files that ship: each object once, each function file repeatable."""

import re
from collections import Counter

import pytest

from producer.shared.preconditions.postgres import FUNCTIONS_VERSION, TABLES_VERSION
from worker.schema.files import FUNCTIONS_DIGEST, FunctionFile, shipped_files

FILES = shipped_files()
OBJECT = re.compile(
    r"^CREATE (?:OR REPLACE |UNIQUE |CONSTRAINT )*(TABLE|INDEX|TYPE|TRIGGER|FUNCTION|VIEW) (\w+)",
    re.MULTILINE,
)


def test_no_object_is_created_twice() -> None:
    texts = [migration.sql for migration in FILES.tables] + [file.sql for file in FILES.function_files]

    created = Counter(match for text in texts for match in OBJECT.findall(text))

    assert len(created) > 30
    assert {name: times for name, times in created.items() if times > 1} == {}


@pytest.mark.parametrize("file", FILES.function_files, ids=lambda file: file.name)
def test_what_is_applied_again_only_replaces(file: FunctionFile) -> None:
    statements = re.findall(r"^[A-Z]+ [A-Z ]+", file.sql, re.MULTILINE)

    assert file.functions
    assert {statement.strip() for statement in statements if statement.startswith("CREATE")} == {
        "CREATE OR REPLACE FUNCTION"
    }


def test_a_change_of_a_function_raises_the_version_of_all() -> None:
    assert FILES.functions_digest == FUNCTIONS_DIGEST, (
        "a function has changed: raise FUNCTIONS_VERSION in worker/schema/files.py by one since the last "
        "release, and set FUNCTIONS_DIGEST beside it"
    )


@pytest.mark.parametrize("file", FILES.function_files, ids=lambda file: file.name)
def test_a_file_in_parts_is_the_whole_file(file: FunctionFile) -> None:
    assert "".join(file.definitions) == file.sql
    assert [FunctionFile("", part).functions for part in file.definitions] == [
        [each] for each in file.functions
    ]


def test_tables_are_numbered_without_gaps_from_one() -> None:
    assert [migration.version for migration in FILES.tables] == list(range(1, len(FILES.tables) + 1))


def test_a_file_is_known_by_its_text() -> None:
    file = FunctionFile("functions/a.sql", "CREATE OR REPLACE FUNCTION a() ...")

    assert file.functions == ["a"]
    assert file.digest != FunctionFile(file.name, f"{file.sql} ").digest


def test_every_process_knows_the_versions_that_this_program_ships() -> None:
    assert (FILES.version, FILES.functions_version) == (TABLES_VERSION, FUNCTIONS_VERSION)
