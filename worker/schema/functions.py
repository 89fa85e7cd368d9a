"""Functions as the files say them today: defined again where a file changed, gone where no file has them."""

from collections.abc import Iterable
from typing import Final

import psycopg
from psycopg import sql

from worker.errors import WorkerError
from worker.schema.files import FunctionFile

_CREATE_RECORD: Final = (
    "CREATE TABLE IF NOT EXISTS schema_functions (file text PRIMARY KEY, digest text NOT NULL, "
    "signatures text[] NOT NULL, version integer NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
)
_RECORD: Final = (
    "INSERT INTO schema_functions (file, digest, signatures, version) VALUES (%s, %s, %s, %s) "
    "ON CONFLICT (file) DO UPDATE SET digest = excluded.digest, signatures = excluded.signatures, "
    "version = excluded.version, applied_at = now()"
)
# What stands under these names, each with what changes when it is defined again.
_STANDING: Final = (
    "SELECT oid::regprocedure::text, (oid, xmin)::text FROM pg_proc "
    "WHERE pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) "
    "AND proname = ANY (%s)"
)
# Whoever else was given it by the owner or by `cashback migrate` of a version before.
_CALLERS: Final = (
    "SELECT DISTINCT proname, pg_get_userbyid(grantee) FROM pg_proc, aclexplode(proacl) "
    "WHERE oid IN (SELECT to_regprocedure(signature) FROM unnest(%s::text[]) AS signature) "
    "AND grantee NOT IN (0, proowner) AND privilege_type = 'EXECUTE'"
)


class ForeignFunction(WorkerError):
    """The database has a function of somebody else's with the name and the parameters of one of ours."""

    reason = "foreign_function"


class InstalledFunctions:
    """The functions in the database, and its record of the files that they come from.

    For the length of one transaction that holds the lock on the schema.
    """

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        connection.execute(_CREATE_RECORD)
        recorded = connection.execute(
            "SELECT file, digest, signatures, version FROM schema_functions"
        ).fetchall()
        self._digests: dict[str, str] = {file: digest for file, digest, _, _ in recorded}
        self._ours: set[str] = {signature for _, _, signatures, _ in recorded for signature in signatures}
        self._callers: list[tuple[str, str]] = connection.execute(_CALLERS, (self.signatures,)).fetchall()
        self.version: int = max((version for *_, version in recorded), default=0)
        """The version of the functions that stand; 0 where there are none."""

    @property
    def signatures(self) -> list[str]:
        """Each function of ours that stands, with the types of its parameters."""
        return sorted(self._ours)

    def is_current(self, file: FunctionFile) -> bool:
        """Say whether the file was applied as it is now."""
        return self._digests.get(file.name) == file.digest

    def apply(self, file: FunctionFile, *, version: int) -> None:
        """Define the functions of the file, in place where PostgreSQL can do that.

        In place a function keeps its identity and its privileges, and whoever calls it just now goes on.
        Raises ForeignFunction.
        """
        before = self._standing(file.functions)
        foreign = before.keys() - self._ours
        for definition in file.definitions:
            self._define(definition)
        after = self._standing(file.functions)
        defined = {signature for signature, state in after.items() if before.get(signature) != state}
        if replaced := sorted(defined & foreign):
            raise _foreign(replaced[0])
        # Other types of parameters have made a second function beside the one that stood.
        self._drop((after.keys() & self._ours) - defined)
        self._ours |= defined
        self._connection.execute(_RECORD, (file.name, file.digest, sorted(defined), version))

    def keep_callers(self) -> None:
        """Let who could call a function call the one of that name, which may have been made anew."""
        for signature in self.signatures:
            for name, caller in self._callers:
                if signature.partition("(")[0] == name:
                    self._connection.execute(
                        sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(
                            sql.SQL(signature), sql.Identifier(caller)
                        )
                    )

    def drop_all_but(self, files: Iterable[FunctionFile]) -> None:
        """Drop what was once defined by a file and is so no more; other people's functions stay."""
        now = list(files)
        names = {name for file in now for name in file.functions}
        self._drop({each for each in self._ours if each.partition("(")[0] not in names})
        self._connection.execute(
            "DELETE FROM schema_functions WHERE file <> ALL (%s)", ([file.name for file in now],)
        )

    def raise_version(self, version: int) -> None:
        """Put the version on record, also where no file had to be applied for it."""
        self._connection.execute(
            "UPDATE schema_functions SET version = %s WHERE version < %s", (version, version)
        )

    def _define(self, definition: str) -> None:
        try:
            with self._connection.transaction():
                self._connection.execute(definition.encode())
        except psycopg.errors.InvalidFunctionDefinition:
            # Another result, or other names of parameters: what stands has to go first.
            names = FunctionFile("", definition).functions
            self._drop(self._standing(names).keys() & self._ours)
            self._connection.execute(definition.encode())
        except psycopg.errors.InsufficientPrivilege:
            standing = self._standing(FunctionFile("", definition).functions).keys()
            if not standing - self._ours:
                raise
            raise _foreign(min(standing - self._ours)) from None

    def _drop(self, signatures: Iterable[str]) -> None:
        # Gone with a table whose row it took, it needs no dropping.
        for signature in sorted(signatures):
            self._connection.execute(f"DROP FUNCTION IF EXISTS {signature}".encode())
            self._ours.discard(signature)

    def _standing(self, names: Iterable[str]) -> dict[str, str]:
        return dict(self._connection.execute(_STANDING, (list(names),)).fetchall())


def _foreign(signature: str) -> ForeignFunction:
    return ForeignFunction(
        f"the database has a function {signature} that is not of this program: rename or drop it, "
        "or give this program a schema of its own"
    )
