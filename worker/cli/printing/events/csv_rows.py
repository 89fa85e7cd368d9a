"""Events as CSV (RFC 4180) that a spreadsheet takes for text."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Final

from worker.cli.printing.cells import cell
from worker.cli.printing.events.listing import event_document
from worker.cli.queries.events.listing import Event

COLUMNS: Final = tuple(field.name for field in fields(Event))


def csv_rows(events: Iterable[Event], *, header: bool) -> Iterator[str]:
    """Give the lines of a CSV file, each with its end; a header first if asked for."""
    if header:
        yield _line(COLUMNS)
    for event in events:
        document = event_document(event)
        yield _line([cell(document[name]) for name in COLUMNS])


def _line(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()
