"""What is said of an accept in short: bounded, on one line, and text that any database takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.accepts import MAX_SAID_CHARS, in_short


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Success", "Success"),
        ("", ""),
        ("<html>\r\n  <h1>502\tBad Gateway</h1>\n", "<html> <h1>502 Bad Gateway</h1>"),
        ("a\0b\ud800c\u200bd", "a b c d"),
        ("x" * 120, "x" * 120),
        ("x" * 121, "x" * 119 + "…"),
        (" " * 10_000 + "far", ""),
    ],
)
def test_in_short(said: str, shown: str) -> None:
    assert in_short(said) == shown


@given(st.text(max_size=2_000))
def test_whatever_it_is_a_line_stays_that_can_be_stored(said: str) -> None:
    short = in_short(said)

    assert len(short) <= MAX_SAID_CHARS
    assert short.isprintable()
    short.encode()
