"""Import of accounts: one file, one transaction, all of it or nothing."""

import time
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import psycopg
from psycopg.rows import class_row

from worker.accounts.csv_file import (
    MAX_FAULTS,
    AccountRow,
    AccountsFile,
    BadAccountsFile,
    ByteLines,
    Fault,
)
from worker.accounts.digest import DigestedLines
from worker.accounts.progress import ImportProgress
from worker.errors import WorkerError

_COPY: Final = "COPY imported_accounts (line_number, user_id, currency, status, balance_minor) FROM STDIN"
_PAGE_ROWS: Final = 1_000
# As much as the audit takes of what was acted on.
_SUBJECT_CHARS: Final = 200


class ImportInDoubt(WorkerError):
    """PostgreSQL went away during the import: import the same file again, what stands is left alone."""

    reason = "import_in_doubt"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportCounts:
    """What an import did: accounts opened, given another status, and left as they were."""

    opened: int
    updated: int
    unchanged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportNote:
    """What the audit has of an import: the file by its name, who imports it, and why."""

    file_name: str
    person: str
    reason: str | None = None


def import_accounts(
    connection: psycopg.Connection[Any],
    lines: ByteLines,
    *,
    note: ImportNote,
    progress: ImportProgress | None = None,
) -> ImportCounts:
    """Open the accounts that are new and give the others the status of the file; return the counts.

    A new account is opened with its balance as one balanced transaction of kind `opening`. An account that
    exists keeps its balance, which the ledger owns, so importing a file again changes nothing but the audit,
    which has each import. The rows are streamed: memory does not grow with the file. `progress` is told how
    far it has come.

    Raises BadAccountsFile with the faults by line number, and ImportInDoubt; nothing is changed by the
    former. `connection` must be in autocommit mode and outside of a transaction.
    """
    digested = DigestedLines(lines)
    file = AccountsFile(digested)
    progress = progress or ImportProgress(total_bytes=None, clock=time.monotonic)
    try:
        with connection.transaction():
            connection.execute("SELECT prepare_accounts_import()")
            _copy(connection, file, digested, progress)
            progress.checking()
            _refuse_faults(connection, file)
            progress.applying(new_share=_new_share(connection))
            return _apply(connection, note, sha256=digested.sha256)
    except psycopg.OperationalError as error:
        if connection.closed:
            # The reply that was lost may have been that of the commit.
            raise ImportInDoubt from error
        raise


def _copy(
    connection: psycopg.Connection[Any], file: AccountsFile, lines: DigestedLines, progress: ImportProgress
) -> None:
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        rows = iter(file)
        while page := "".join(map(_copy_line, islice(rows, _PAGE_ROWS))):
            copy.write(page)
            progress.copied(rows=file.row_count, read_bytes=lines.byte_count)


def _copy_line(row: AccountRow) -> str:
    # What is printable has no tabs and no line ends; the other members have no backslash.
    return "{}\t{}\t{}\t{}\t{}\n".format(*row).replace("\\", "\\\\")


def _refuse_faults(connection: psycopg.Connection[Any], file: AccountsFile) -> None:
    rows = connection.execute("SELECT * FROM check_accounts_import(%s)", (MAX_FAULTS,)).fetchall()
    count = file.fault_count + (rows[0][2] if rows else 0)
    if count:
        faults = [Fault(line_number, text) for line_number, text, _ in rows]
        raise BadAccountsFile([*file.faults, *faults], count=count)


def _new_share(connection: psycopg.Connection[Any]) -> float:
    row = connection.execute("SELECT new_accounts_share()").fetchone()
    return float(row[0]) if row else 1.0


def _apply(connection: psycopg.Connection[Any], note: ImportNote, *, sha256: str) -> ImportCounts:
    with connection.cursor(row_factory=class_row(ImportCounts)) as cursor:
        counts = cursor.execute(
            "SELECT * FROM apply_accounts_import(%s, %s, %s, %s)",
            (_subject(note.file_name), sha256, note.person, note.reason),
        ).fetchone()
    if counts is None:
        raise psycopg.DataError("apply_accounts_import returned no row")
    return counts


def _subject(file_name: str) -> str:
    # Its end says more than its beginning.
    shown = "".join(character if character.isprintable() else "?" for character in file_name)
    return shown[-_SUBJECT_CHARS:] or "-"
