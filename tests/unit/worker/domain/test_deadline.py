"""Time left, and the pauses between attempts."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.deadline import LEAST_ATTEMPT_SECONDS, Backoff, Deadline

BACKOFF = Backoff(base_seconds=0.5, cap_seconds=5.0)
fractions = st.floats(0, 1, exclude_max=True)


def test_the_time_left_is_never_negative() -> None:
    deadline = Deadline(100.0)

    assert [deadline.remaining_seconds(now) for now in (90.0, 100.0, 110.0)] == [10.0, 0.0, 0.0]


def test_an_attempt_needs_the_least_time() -> None:
    deadline = Deadline(100.0)

    assert deadline.leaves_an_attempt(100.0 - LEAST_ATTEMPT_SECONDS)
    assert not deadline.leaves_an_attempt(100.001 - LEAST_ATTEMPT_SECONDS)


def test_the_ceiling_doubles_up_to_the_cap() -> None:
    delays = [BACKOFF.delay_seconds(retries=retries, random=lambda: 0.5) for retries in range(6)]

    assert delays == [0.25, 0.5, 1.0, 2.0, 2.5, 2.5]


@pytest.mark.parametrize("retries", [32, 1_000, 10**9])
def test_very_many_retries_stay_at_the_cap(retries: int) -> None:
    assert BACKOFF.delay_seconds(retries=retries, random=lambda: 0.5) == 2.5


@given(retries=st.integers(0, 100), share=fractions)
def test_the_jitter_is_full(retries: int, share: float) -> None:
    lowest, delay, highest = (
        BACKOFF.delay_seconds(retries=retries, random=iter([at]).__next__) for at in (0.0, share, 1.0)
    )

    assert all(one <= two for one, two in pairwise((0.0, lowest, delay, highest, 5.0)))
    assert lowest == 0.0


@given(retries=st.integers(0, 100), remaining=st.floats(0, 60), share=fractions)
def test_a_pause_always_leaves_time_for_an_attempt(retries: int, remaining: float, share: float) -> None:
    delay = BACKOFF.delay_within_seconds(retries=retries, remaining_seconds=remaining, random=lambda: share)

    if remaining <= LEAST_ATTEMPT_SECONDS:
        assert delay is None
    else:
        assert delay is not None
        assert 0 <= delay <= remaining - LEAST_ATTEMPT_SECONDS
