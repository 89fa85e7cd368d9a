"""Whatever hangs, asking ends in time, and what hangs is not asked again."""

import threading

import pytest

from producer.shared.preconditions.checks import Checks
from producer.shared.preconditions.verdict import Kind, Verdict

FOUND = Verdict(name="found", kind=Kind.FATAL, what="it is", what_to_do="see to it")
END_SECONDS = 120.0


def test_what_hangs_is_let_go_of_and_said_to_be_away_and_asked_once() -> None:
    is_let_go, asked = threading.Event(), list[str]()

    def hangs() -> list[Verdict]:
        asked.append("hangs")
        is_let_go.wait(END_SECONDS)
        return []

    checks = Checks({"Redis": hangs, "PostgreSQL": lambda: [FOUND]})
    try:
        for _ in range(3):
            away, found = checks.ask(timeout_seconds=0.05)
            assert (away.name, away.kind, found) == ("redis_unreachable", Kind.PASSING, FOUND)
        assert asked == ["hangs"]
    finally:
        is_let_go.set()

    # It has ended by itself, which is taken note of, and then it is asked anew.
    while checks.ask(timeout_seconds=END_SECONDS) != [FOUND]:
        pass


def test_a_fault_of_a_check_is_raised_where_it_is_asked() -> None:
    def fails() -> list[Verdict]:
        raise ValueError("a fault")

    checks = Checks({"Redis": fails})
    for _ in range(2):
        with pytest.raises(ValueError, match="a fault"):
            checks.ask(timeout_seconds=END_SECONDS)
