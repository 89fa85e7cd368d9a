"""What is asked of PostgreSQL, and what its answer means."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString, Self

STATE: Final[LiteralString] = """
    SELECT current_setting('server_version_num')::int, current_setting('server_encoding'),
        pg_is_in_recovery(), current_setting('transaction_read_only')::boolean,
        to_regproc('record_receipts') IS NOT NULL AND to_regproc('settle_event') IS NOT NULL
            AND to_regclass('schema_versions') IS NOT NULL AND to_regclass('schema_functions') IS NOT NULL,
        has_table_privilege(to_regclass('receipts'), 'INSERT')
"""
"""One row, for `PostgresState.of`. It reads the catalog alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresState:
    """How the server and the database stand. `may_write` is None where there is no table to ask about."""

    version: int
    encoding: str
    is_standby: bool
    is_read_only: bool
    has_schema: bool
    may_write: bool | None

    @classmethod
    def of(cls, row: Sequence[Any]) -> Self:
        """Read the row of `STATE`."""
        version, encoding, is_standby, is_read_only, has_schema, may_write = row
        return cls(
            version=version,
            encoding=encoding,
            is_standby=is_standby,
            is_read_only=is_read_only,
            has_schema=has_schema,
            may_write=may_write,
        )

    @property
    def why_no_writes(self) -> str | None:
        """Why nothing could be written now, or None where it could be."""
        if self.is_standby:
            return "it is a standby, which takes no writes"
        if self.is_read_only:
            return "it takes no writes: its transactions are read-only"
        if not self.has_schema:
            return "the database has no schema yet; run `cashback migrate`"
        if not self.may_write:
            return "the role may not write to the table receipts"
        return None
