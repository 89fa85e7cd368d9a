"""The thread's time limit: blocks nest and only shorten, and other threads are not concerned."""

import time
from threading import Thread

import pytest

from worker.domain.deadline import Deadline
from worker.time_limit import cut, ends_by, seconds_left

HOUR_SECONDS = 3_600.0


def in_an_hour() -> Deadline:
    return Deadline(time.monotonic() + HOUR_SECONDS)


def test_nothing_bounds_a_thread_outside_of_a_block() -> None:
    assert seconds_left() is None
    assert cut(None) is None
    assert cut(5.0) == 5.0


def test_an_inner_block_shortens_and_never_lengthens() -> None:
    with ends_by(Deadline(0.0)):
        with ends_by(in_an_hour()):
            assert seconds_left() == 0.0
        with pytest.raises(TimeoutError):
            cut(5.0)
    with ends_by(in_an_hour()):
        with ends_by(Deadline(0.0)):
            assert seconds_left() == 0.0
        # The outer one holds again.
        assert cut(5.0) == 5.0
    assert seconds_left() is None


def test_a_block_concerns_its_own_thread_alone() -> None:
    seen: list[float | None] = []
    with ends_by(Deadline(0.0)):
        other = Thread(target=lambda: seen.append(seconds_left()))
        other.start()
        other.join()

    assert seen == [None]
