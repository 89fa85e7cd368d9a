"""How far a long command has come: shown at a terminal, and nowhere else."""

import io
import sys

import pytest

from worker.cli.printing.progress import reading, steps

LINES = b"one\ntwo\n" * 5_000


def work() -> bytes:
    file = io.BytesIO(LINES)
    with reading(file) as lines:
        read = b"".join(iter(lambda: lines.readline(100), b""))
    with steps(2) as step:
        step("first")
        step("second")
    return read


def test_at_a_terminal_a_bar_is_shown_and_every_line_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")

    assert work() == LINES

    shown = capsys.readouterr()
    assert "reading the statement" in shown.err
    assert "second" in shown.err
    assert shown.out == ""


def test_without_a_terminal_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert work() == LINES

    assert capsys.readouterr() == ("", "")
