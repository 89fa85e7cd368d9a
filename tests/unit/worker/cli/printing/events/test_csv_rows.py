"""Events as CSV: what a program reads back is what was written, and no spreadsheet computes anything."""

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from worker.cli.printing.cells import cell
from worker.cli.printing.events.csv_rows import COLUMNS, csv_rows
from worker.cli.queries.events.listing import Event

MOMENT = datetime(2026, 3, 1, 12, 0, 0, 7_900, tzinfo=UTC)
EVENT = Event(
    event_id=UUID("00000000-0000-8000-8000-000000000001"),
    cashback_id=480,
    state="expired",
    code=200,
    transaction_id=17,
    attempts=7,
    unconfirmed=True,
    confirmed_by=None,
    last_error='=HYPERLINK("http://x","a, b")\nsecond line',
    received_at=MOMENT,
    credit_cutoff_at=MOMENT,
    deadline_at=MOMENT,
    next_attempt_at=MOMENT,
    settled_at=MOMENT,
    closed_at=MOMENT,
    producer="betcore",
    user_id="-5",
    transaction_type=-1,
    amount=Decimal("1E+3"),
)


def test_what_was_written_is_read_back_under_its_names() -> None:
    header, row = csv_rows([EVENT], header=True)

    assert header == ",".join(COLUMNS) + "\r\n"
    (read,) = csv.DictReader(io.StringIO(header + row, newline=""))
    assert read["event_id"] == str(EVENT.event_id)
    assert read["unconfirmed"] == "true"
    assert read["confirmed_by"] == ""
    assert read["received_at"] == "2026-03-01T12:00:00.007Z"
    assert (read["transaction_type"], read["user_id"], read["amount"]) == ("-1", "-5", "1000")
    assert read["last_error"] == '\'=HYPERLINK("http://x","a, b")�second line'


def test_without_a_header_there_are_rows_alone() -> None:
    assert len(list(csv_rows([EVENT, EVENT], header=False))) == 2


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+cmd", "-2+3+cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1+1", "\uff20x"],
)
def test_a_text_that_a_spreadsheet_would_compute_begins_with_an_apostrophe(text: str) -> None:
    assert cell(text).startswith("'")


@pytest.mark.parametrize("text", ["188509", "-5", "+7.50", "no answer", "a=b", "'x"])
def test_any_other_text_stays_as_it_is(text: str) -> None:
    assert cell(text) == text
