"""The progress of an import goes to stderr: a bar at a terminal, elsewhere lines where they are asked for."""

import io
import sys
import threading

import pytest

from worker.accounts.progress import ImportProgress
from worker.cli.printing import import_progress
from worker.cli.printing.import_progress import shown

SENTENCE = "reading: 7 rows, 7 rows/s, time left unknown"


class Stderr(io.StringIO):
    """Says whether it is a terminal, and when it was written to."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal
        self.has_sentence = threading.Event()

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> int:
        count = super().write(text)
        if SENTENCE in self.getvalue():
            self.has_sentence.set()
        return count


def progress() -> ImportProgress:
    now = iter([0.0])
    made = ImportProgress(total_bytes=None, clock=lambda: next(now, 1.0))
    made.copied(rows=7, read_bytes=1)
    return made


@pytest.mark.parametrize(("terminal", "asked"), [(True, None), (True, True), (False, True)])
def test_it_is_shown_at_a_terminal_and_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, *, terminal: bool, asked: bool | None
) -> None:
    stderr = Stderr(terminal=terminal)
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setattr(import_progress, "LINE_SECONDS", 0.001)
    # Wide enough for one line.
    monkeypatch.setenv("COLUMNS", "100")

    with shown(progress(), asked=asked):
        assert stderr.has_sentence.wait(timeout=120)

    assert ("\x1b[" in stderr.getvalue()) == terminal
    assert "import-progress" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize(("terminal", "asked"), [(True, False), (False, False), (False, None)])
def test_it_is_not_shown_otherwise(
    monkeypatch: pytest.MonkeyPatch, *, terminal: bool, asked: bool | None
) -> None:
    stderr = Stderr(terminal=terminal)
    monkeypatch.setattr(sys, "stderr", stderr)

    with shown(progress(), asked=asked):
        pass

    assert stderr.getvalue() == ""
