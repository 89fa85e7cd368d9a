"""What the command prints, and what it never lets through to a terminal."""

import json
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from worker.cli.printing.output import major, print_document, print_table


@pytest.mark.parametrize(
    ("amount_minor", "exponent", "text"),
    [
        (1050, 2, "10.50"),
        (-1, 2, "-0.01"),
        (0, 2, "0.00"),
        (7, 0, "7"),
        (1, 4, "0.0001"),
        (2**63 - 1, 2, "92233720368547758.07"),
        (-(2**63), 4, "-922337203685477.5808"),
    ],
)
def test_amounts_are_written_exactly_with_all_digits_of_their_currency(
    amount_minor: int, exponent: int, text: str
) -> None:
    assert major(amount_minor, exponent) == text


def test_json_has_times_in_utc_with_milliseconds_and_ids_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    moment = datetime(2026, 3, 1, 14, 0, 0, 123_999, tzinfo=timezone(timedelta(hours=2)))
    event_id = UUID("00000000-0000-8000-8000-000000000001")

    print_document({"at": moment, "event_id": event_id, "text": "é\x1b[2J"})

    printed = capsys.readouterr().out
    assert json.loads(printed) == {
        "at": "2026-03-01T12:00:00.123Z",
        "event_id": str(event_id),
        "text": "é\x1b[2J",
    }
    assert printed.isascii()
    assert "\x1b" not in printed


def test_a_value_without_a_place_in_json_is_an_error() -> None:
    with pytest.raises(TypeError, match="object has no place in the output"):
        print_document({"value": object()})


def test_a_table_shows_cells_as_they_are_and_no_terminal_control(capsys: pytest.CaptureFixture[str]) -> None:
    moment = datetime(2026, 3, 1, 12, 0, 0, 7_900, tzinfo=UTC)

    print_table(
        "[bold]T[/bold]",
        ("a", "b", "c", "d"),
        [("[red]x[/red]", None, True, moment), ("\x1b]0;evil\x07\n", 1, 2, 3)],
    )

    printed = capsys.readouterr().out
    assert "[bold]T[/bold]" in printed
    assert "[red]x[/red]" in printed
    assert "2026-03-01 12:00:00.007" in printed
    assert "�]0;evil��" in printed
    assert "\x1b" not in printed


def test_a_table_that_is_too_wide_becomes_lines_and_folds_nothing_in_its_middle(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    event_id = "00000000-0000-8000-8000-000000000001"
    monkeypatch.setenv("COLUMNS", "56")

    print_table(
        "Events",
        ("event", "state", "confirmed by", "last error", "user"),
        [(event_id, "expired", event_id, "no answer came within the time that there was", None)],
    )

    assert capsys.readouterr().out.splitlines() == [
        "Events",
        f"{event_id}  state expired",
        f"    confirmed by {event_id}",
        "    last error no answer came within the time that there",
        "    was",
    ]


def test_a_table_of_names_and_values_is_lines_of_both(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")

    print_table(
        "Message", ("what", "value"), [("reason", "unknown_task"), ("detail", "no task of this name")]
    )

    assert capsys.readouterr().out.splitlines()[1:] == [
        "reason  unknown_task",
        "detail",
        "    no task of this",
        "    name",
    ]


def test_into_a_pipe_a_table_is_as_wide_as_it_needs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)

    print_table("T", ("a", "b"), [("x" * 500, "y" * 500)])

    assert f"{'x' * 500} │ {'y' * 500}" in capsys.readouterr().out


def test_states_have_colours_at_a_terminal_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    printed = []
    for force in ("1", ""):
        monkeypatch.setenv("FORCE_COLOR", force)
        print_table("T", ("state",), [("expired",), ("answered",)])
        printed.append(capsys.readouterr().out)

    assert "\x1b[31mexpired" in printed[0]
    assert "\x1b[32manswered" in printed[0]
    assert "\x1b" not in printed[1]
