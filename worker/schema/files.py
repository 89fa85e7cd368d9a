"""The SQL files that ship with this program."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from typing import Final

_MIGRATION: Final = re.compile(r"(?P<version>\d{4})_(?P<name>\w+)\.sql")
_TABLE: Final = re.compile(r"^CREATE TABLE (\w+)", re.MULTILINE)
_FUNCTION: Final = re.compile(r"^CREATE OR REPLACE FUNCTION (\w+)", re.MULTILINE)

# Raised with every change of a function, so that an older program does not put its own ones back. A test
# holds the digest to the files.
FUNCTIONS_VERSION: Final = 1
FUNCTIONS_DIGEST: Final = "d42f258c0ce841ec3b200308288f43151078a398dba9529d3a2df0746c14cdd7"


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of `worker/schema/tables/`: its number, its name, and its SQL. Applied once."""

    version: int
    name: str
    sql: str


@dataclass(frozen=True, slots=True)
class FunctionFile:
    """One file of functions, by its path under `worker/schema/`. Applied again where it changed."""

    name: str
    sql: str

    @property
    def digest(self) -> str:
        """SHA-256 of the file's text, in hexadecimal digits."""
        return sha256(self.sql.encode()).hexdigest()

    @property
    def functions(self) -> list[str]:
        """The names of the functions that the file defines."""
        return _FUNCTION.findall(self.sql)

    @property
    def definitions(self) -> list[str]:
        """The file in parts, one for each function; what stands before the first goes with it."""
        starts = [match.start() for match in _FUNCTION.finditer(self.sql)][1:]
        return [self.sql[start:end] for start, end in zip([0, *starts], [*starts, None], strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaFiles:
    """All that makes the schema, in the order in which it is applied."""

    trigger_functions: tuple[FunctionFile, ...]
    """What triggers call. They come first, as triggers name them; they look at no table until they run."""
    tables: tuple[Migration, ...]
    functions: tuple[FunctionFile, ...]
    functions_version: int

    @property
    def version(self) -> int:
        """The number of the last migration."""
        return self.tables[-1].version

    @property
    def table_names(self) -> list[str]:
        """The names of all tables, but for partitions."""
        made = [name for migration in self.tables for name in _TABLE.findall(migration.sql)]
        return ["schema_versions", "schema_functions", *made]

    @property
    def functions_digest(self) -> str:
        """SHA-256 over the digests of all function files, in their order."""
        return sha256("".join(file.digest for file in self.function_files).encode()).hexdigest()

    @property
    def function_files(self) -> tuple[FunctionFile, ...]:
        """Every file that defines functions."""
        return self.trigger_functions + self.functions


def shipped_files() -> SchemaFiles:
    """Read the files of this program."""
    matches = [(_MIGRATION.fullmatch(name), text) for name, text in _texts("tables")]
    return SchemaFiles(
        trigger_functions=_function_files("trigger_functions"),
        tables=tuple(
            Migration(int(match["version"]), match["name"], text) for match, text in matches if match
        ),
        functions=_function_files("functions"),
        functions_version=FUNCTIONS_VERSION,
    )


def _function_files(folder: str) -> tuple[FunctionFile, ...]:
    return tuple(FunctionFile(f"{folder}/{name}", text) for name, text in _texts(folder))


def _texts(folder: str) -> Iterator[tuple[str, str]]:
    files = resources.files("worker").joinpath("schema", folder).iterdir()
    for file in sorted(files, key=lambda file: file.name):
        if file.name.endswith(".sql"):
            yield file.name, file.read_text("utf-8")
