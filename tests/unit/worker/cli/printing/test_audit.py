"""An action is read at 80 columns: who did what to whom, why, and what it changed."""

import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from worker.cli.printing.audit import changes, print_audit
from worker.cli.queries.audit import AuditPage, AuditRecord

RECORD = AuditRecord(
    audit_id=17,
    happened_at=datetime(2026, 3, 1, 12, 0, 0, 7_900, tzinfo=UTC),
    action="accounts.adjust.approve",
    subject="188509",
    database_user="cashback_operator",
    client_address="10.0.0.7",
    person="anna@desk",
    reason="the player was credited twice by the campaign of last week, "
    "see ticket 1234 and [red]its answer[/red]",
    before={"balance_minor": 1000},
    after={"key": "ticket-1234", "currency": "EUR", "transaction_id": 8, "balance_minor": 500},
)


def test_an_action_fits_80_columns_and_its_first_line_is_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")

    print_audit(AuditPage(records=(RECORD,), next_after=17))

    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "Actions, newest first",
        "17  2026-03-01 12:00:00  accounts.adjust.approve  188509",
        "  by anna@desk (cashback_operator from 10.0.0.7): the player was credited twice",
        "  by the campaign of last week, see ticket 1234 and [red]its answer[/red]",
        "  balance_minor 1000 → 500, key ticket-1234, currency EUR, transaction_id 8",
        "There are more: --after 17",
    ]


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (None, None, ""),
        ({"status": "active"}, {"status": "blocked"}, "status active → blocked"),
        ({"a": 1}, {"a": 1, "b": None}, "a 1, b -"),
        ({"a": None, "gone": True}, {"a": [1]}, "a - → [1], gone was true"),
    ],
)
def test_what_changed_is_said_member_by_member(
    before: dict[str, Any] | None, after: dict[str, Any] | None, says: str
) -> None:
    assert changes(before, after) == says


def test_no_terminal_control_comes_through(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = AuditRecord(**{**_members(RECORD), "person": "\x1b[2Jx", "subject": "a\nb"})

    print_audit(AuditPage(records=(hostile,), next_after=None))

    printed = capsys.readouterr().out
    assert "\x1b[2J" not in printed
    assert "a�b" in printed


def _members(record: AuditRecord) -> dict[str, Any]:
    return {name: getattr(record, name) for name in AuditRecord.__slots__}
