"""The suite on a machine that is slow: what takes long there fails no test."""

import time

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# With Hypothesis' own settings one second of drawing, or a fifth of one of testing, fails a test.
_SLOW_DRAWING_SECONDS = 1.1
_SLOW_TEST_SECONDS = 0.25
_drawn: list[int] = []


@st.composite
def slow_at_first(draw: st.DrawFn) -> int:
    """Draw as a strategy does whose tables are built in its first draw."""
    if not _drawn:
        time.sleep(_SLOW_DRAWING_SECONDS)
    value = draw(st.integers())
    _drawn.append(value)
    return value


@settings(max_examples=5)
@given(slow_at_first())
def test_slow_drawing_and_slow_tests_fail_nothing(value: int) -> None:
    if len(_drawn) == 1:
        time.sleep(_SLOW_TEST_SECONDS)

    assert value in _drawn


def test_the_profile_is_the_suites_own() -> None:
    profile = settings()

    assert profile.deadline is None
    assert profile.database is None
    assert HealthCheck.too_slow in profile.suppress_health_check
