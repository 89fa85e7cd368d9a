"""A statement is copied into a table of the session's own, where it can be held against the books."""

from itertools import islice
from typing import Any, Final

import psycopg

from worker.csv_lines import MAX_FAULTS, ByteLines
from worker.reconciliation.statement import BadStatement, StatementFile, StatementRow
from worker.reconciliation.statement_form import StatementForm

_COPY: Final = (
    "COPY pg_temp.betcore_statement "
    "(line_number, cashback_id, transaction_type, user_id, currency, amount, status, at) FROM STDIN"
)
_PAGE_ROWS: Final = 1_000


def prepare(connection: psycopg.Connection[Any]) -> None:
    """Make the table; it is gone with the session. Nothing else of a reconciliation writes."""
    connection.execute("SELECT prepare_statement()")


def load(connection: psycopg.Connection[Any], lines: ByteLines, form: StatementForm) -> int:
    """Copy a statement into the table and return its number of rows; raises BadStatement.

    Works inside of a read-only transaction, as the table is the session's own.
    """
    file = StatementFile(lines, form)
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        rows = iter(file)
        while page := "".join(map(copy_line, islice(rows, _PAGE_ROWS))):
            copy.write(page)
    if file.fault_count:
        raise BadStatement(file.faults[:MAX_FAULTS], count=file.fault_count)
    return file.row_count


def copy_line(row: StatementRow) -> str:
    """Write a row as COPY reads it."""
    number, cashback_id, transaction_type, user_id, currency, amount, status, at = row
    # What is printable has no tabs and no line ends; the other members have no backslash.
    user = r"\N" if user_id is None else user_id.replace("\\", "\\\\")
    rest = f"{currency or chr(92) + 'N'}\t{amount or chr(92) + 'N'}\t{status}\t{at or chr(92) + 'N'}"
    return f"{number}\t{cashback_id}\t{transaction_type}\t{user}\t{rest}\n"
