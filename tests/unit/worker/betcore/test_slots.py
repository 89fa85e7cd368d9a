"""Slots for calls to BETCORE: worth a wait while it is prompt, and threads for credits while it is slow."""

from contextlib import ExitStack

import pytest

from worker.betcore.slots import PROMPT_SECONDS, SLOW_WAIT_SECONDS, Slots
from worker.domain.deadline import Deadline

FAR = Deadline(1_000.0)


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def after_a_call(seconds: float) -> Slots:
    """Return slots that one call of this length went through."""
    clock = Clock()
    slots = Slots(1, monotonic=clock)
    with slots.take(FAR):
        clock.now = seconds
    return slots


def test_no_more_than_there_are_are_held_at_a_time() -> None:
    slots = Slots(2, monotonic=Clock())
    with ExitStack() as stack:
        held = [stack.enter_context(slots.take(Deadline(0.1))) for _ in range(3)]
    assert held == [True, True, False]


def test_a_slot_that_was_not_there_is_not_given_back() -> None:
    slots = Slots(1, monotonic=Clock())
    with slots.take(FAR):
        with slots.take(Deadline(0.0)) as is_mine:
            assert not is_mine
        with slots.take(Deadline(0.0)) as is_mine:
            assert not is_mine


def test_a_call_that_fails_gives_its_slot_back() -> None:
    slots = Slots(1, monotonic=Clock())
    with pytest.raises(ZeroDivisionError), slots.take(FAR):
        raise ZeroDivisionError
    with slots.take(Deadline(0.0)) as is_mine:
        assert is_mine


def test_before_a_prompt_betcore_the_wait_lasts_for_a_whole_call() -> None:
    assert Slots(1, monotonic=Clock()).wait_seconds(FAR) == PROMPT_SECONDS
    assert after_a_call(PROMPT_SECONDS).wait_seconds(FAR) == PROMPT_SECONDS


def test_before_a_slow_betcore_the_wait_is_short() -> None:
    assert after_a_call(PROMPT_SECONDS + 0.01).wait_seconds(FAR) == SLOW_WAIT_SECONDS


def test_betcore_is_prompt_again_after_a_prompt_call() -> None:
    clock = Clock()
    slots = Slots(1, monotonic=clock)
    with slots.take(FAR):
        clock.now += PROMPT_SECONDS + 1
    with slots.take(FAR):
        clock.now += 0.01
    assert slots.wait_seconds(FAR) == PROMPT_SECONDS


def test_half_of_what_is_left_is_kept_for_the_call() -> None:
    slots = Slots(1, monotonic=Clock())
    assert slots.wait_seconds(Deadline(0.25)) == 0.125
    assert slots.wait_seconds(Deadline(-1.0)) == 0.0
