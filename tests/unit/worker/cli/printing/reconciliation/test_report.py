"""A report of a reconciliation fits a screen of 80 columns, and breaks no id."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from worker.cli.printing.reconciliation.report import print_report
from worker.reconciliation.check import Difference
from worker.reconciliation.checks import checks_with
from worker.reconciliation.period import Period
from worker.reconciliation.reconciling import Finding, Report

MANY = 10_000_000
NOW = datetime(2026, 11, 26, 3, 15, tzinfo=UTC)
EVENT = UUID("7c335129-b761-e5f7-3344-21969022c9bd")
LARGE = Difference(
    cashback_id=2**63 - 1,
    transaction_type=-(2**31),
    transaction_id=2**63 - 1,
    event_id=EVENT,
    user_id="a" * 60,
    currency="EUR",
    ours="9999999999999.99",
    theirs="-9999999999999.99",
    at=NOW,
    line_number=MANY,
    detail="expired after the credit, BETCORE has acknowledged no event of it; " + "word " * 40,
)


def printed(capsys: pytest.CaptureFixture[str], difference: Difference, count: int = MANY) -> str:
    findings = (
        Finding(check=check, looked_at=count, differences=count, pending=count, shown=(difference,))
        for check in checks_with(statement=True)
    )
    period = Period(since=NOW - timedelta(days=1), until=NOW)
    print_report(Report(period=period, checked_at=NOW, findings=tuple(findings)))
    return capsys.readouterr().out


def test_it_fits_a_screen_and_each_id_stands_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    shown = printed(capsys, LARGE)

    assert [line for line in shown.splitlines() if len(line.rstrip()) > 80] == []
    for whole in (f"cashback {2**63 - 1} type {-(2**31)}", f"event {EVENT}", f"user {'a' * 60}"):
        assert any(whole in line for line in shown.splitlines())


def test_nothing_that_stands_in_the_books_reaches_the_terminal_as_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = printed(capsys, Difference(user_id="\x1b[2J", theirs="\x1b[2J", detail="\x1b[2J"))

    assert "\x1b" not in shown
    assert "user �[2J" in shown


def test_what_is_off_is_counted_without_information(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = len(checks_with(statement=True)) - 1

    assert printed(capsys, LARGE, count=1).endswith(f"{wrong} differences, {wrong + 1} pending\n")
