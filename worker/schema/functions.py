"""Functions as the files say them today: defined again where a file changed, gone where no file has them."""

from collections.abc import Iterable
from typing import Final

import psycopg

from worker.schema.files import FunctionFile

_CREATE_RECORD: Final = (
    "CREATE TABLE IF NOT EXISTS schema_functions (file text PRIMARY KEY, digest text NOT NULL, "
    "functions text[] NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
)
_RECORD: Final = (
    "INSERT INTO schema_functions (file, digest, functions) VALUES (%s, %s, %s) ON CONFLICT (file) DO UPDATE "
    "SET digest = excluded.digest, functions = excluded.functions, applied_at = now()"
)
_NAMED: Final = (
    "SELECT proname, oid::regprocedure::text FROM pg_proc "
    "WHERE pronamespace = current_schema()::text::regnamespace AND proname = ANY (%s)"
)


class InstalledFunctions:
    """The functions in the database, and its record of the files that they come from.

    For the length of one transaction that holds the lock on the schema.
    """

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        connection.execute(_CREATE_RECORD)
        recorded = connection.execute("SELECT file, digest, functions FROM schema_functions").fetchall()
        self._digests: dict[str, str] = {file: digest for file, digest, _ in recorded}
        self._names: set[str] = {name for _, _, names in recorded for name in names}

    def is_current(self, file: FunctionFile) -> bool:
        """Say whether the file was applied as it is now."""
        return self._digests.get(file.name) == file.digest

    def apply(self, file: FunctionFile) -> None:
        """Define the functions of the file, in place where PostgreSQL can do that.

        In place a function keeps its identity and its privileges, and whoever calls it just now goes on.
        """
        try:
            with self._connection.transaction():
                self._connection.execute(file.sql.encode())
        except psycopg.errors.InvalidFunctionDefinition:
            # Another result, or other names of parameters: what stands has to go first.
            self._define_anew(file, file.functions)
        # Other types of parameters have made a second function beside the one that stood.
        names = [name for name, _ in self._named(file.functions)]
        if overloaded := {name for name in names if names.count(name) > 1}:
            self._define_anew(file, overloaded)
        self._connection.execute(_RECORD, (file.name, file.digest, file.functions))

    def drop_all_but(self, files: Iterable[FunctionFile]) -> None:
        """Drop what was once defined by a file and is so no more; other people's functions stay."""
        now = list(files)
        self._drop(self._names - {name for file in now for name in file.functions})
        self._connection.execute(
            "DELETE FROM schema_functions WHERE file <> ALL (%s)", ([file.name for file in now],)
        )

    def _define_anew(self, file: FunctionFile, names: Iterable[str]) -> None:
        self._drop(names)
        self._connection.execute(file.sql.encode())

    def _drop(self, names: Iterable[str]) -> None:
        if signatures := [signature for _, signature in self._named(names)]:
            self._connection.execute(f"DROP FUNCTION {', '.join(signatures)}".encode())

    def _named(self, names: Iterable[str]) -> list[tuple[str, str]]:
        return self._connection.execute(_NAMED, (list(names),)).fetchall()
