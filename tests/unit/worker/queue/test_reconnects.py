"""A consumer that loses one connection after the other connects less and less often."""

import pytest

from worker.queue.reconnects import CALM_SECONDS, LONGEST_PAUSE_SECONDS, Reconnects


def test_after_a_first_loss_a_consumer_connects_at_once_and_then_after_growing_pauses() -> None:
    reconnects, now, pauses = Reconnects(), 100.0, []
    for _ in range(40):
        pauses.append(reconnects.pause_seconds(now))
        now += pauses[-1]

    assert pauses[:5] == pytest.approx([0.0, 0.2, 0.4, 0.8, 1.6])
    assert set(pauses[5:]) == {LONGEST_PAUSE_SECONDS}


def test_a_connection_that_lasted_makes_all_begin_anew() -> None:
    reconnects = Reconnects()
    for _ in range(10):
        reconnects.pause_seconds(100.0)

    assert reconnects.pause_seconds(100.0 + LONGEST_PAUSE_SECONDS + CALM_SECONDS) == 0.0
