"""How long a new event is expected to wait, from looks at the head of the queue."""

import base64
import json

import pytest

from producer.client.envelope import received_at_ms_of
from producer.receiver.backlog import LOOK_SECONDS, Estimate


def looked_at(*, seconds: float, pace: float) -> Estimate:
    """Return an estimate after `seconds` in which the head moved on by `pace` seconds a second."""
    estimate = Estimate(least_age_seconds=2.0)
    for step in range(int(seconds / LOOK_SECONDS) + 1):
        now = step * LOOK_SECONDS
        estimate.look(now=1000 + now, head_received_at=1000 + now * pace)
    return estimate


def test_an_empty_queue_means_no_wait() -> None:
    estimate = Estimate(least_age_seconds=2.0)
    for now in range(5):
        estimate.look(now=now, head_received_at=None)
    assert estimate.wait_seconds == 0


def test_five_times_the_load_is_foreseen_long_before_the_head_is_that_old() -> None:
    # Given five makes arrive for each that is settled, so that the head is 2.4 s old after 3 s,
    estimate = looked_at(seconds=3, pace=0.2)
    # and whoever comes now waits for five times that.
    assert estimate.wait_seconds == pytest.approx(12.0)


def test_the_calm_before_a_burst_does_not_hide_it() -> None:
    # Given a minute of an empty queue, and then two seconds of five times the load,
    estimate = Estimate(least_age_seconds=1.0)
    for step in range(240):
        estimate.look(now=step * LOOK_SECONDS, head_received_at=None)
    for step in range(1, int(2 / LOOK_SECONDS) + 1):
        passed = step * LOOK_SECONDS
        estimate.look(now=60 + passed, head_received_at=60 + passed * 0.2)
    # then the wait is five times the age of the head.
    assert estimate.wait_seconds == pytest.approx(8.0, rel=0.3)


def test_a_queue_that_keeps_up_with_an_old_head_waits_for_as_long_as_the_head_is_old() -> None:
    estimate = Estimate(least_age_seconds=2.0)
    for now in range(6):
        estimate.look(now=now, head_received_at=now - 4.0)
    assert estimate.wait_seconds == pytest.approx(4.0)


def test_a_head_that_catches_up_never_makes_the_wait_less_than_its_age() -> None:
    estimate = Estimate(least_age_seconds=2.0)
    for now in range(6):
        estimate.look(now=now, head_received_at=-20 + 3.0 * now)
    assert estimate.wait_seconds == pytest.approx(10.0)


def test_a_short_pause_of_the_workers_is_no_backlog() -> None:
    estimate = looked_at(seconds=1.5, pace=0.0)
    assert estimate.wait_seconds == 0


def test_workers_that_are_away_make_the_wait_as_long_as_they_have_been_away() -> None:
    assert looked_at(seconds=5, pace=0.0).wait_seconds == pytest.approx(5.0)


def test_workers_that_went_away_a_moment_ago_are_no_slow_workers() -> None:
    estimate = Estimate(least_age_seconds=2.0)
    for step in range(int(5 / LOOK_SECONDS) + 1):
        now = step * LOOK_SECONDS
        estimate.look(now=now, head_received_at=min(now, 2.0))
    assert estimate.wait_seconds == pytest.approx(3.0)


def test_what_was_seen_before_redis_was_away_says_nothing_after_it() -> None:
    estimate = looked_at(seconds=5, pace=0.0)
    estimate.forget()
    estimate.look(now=2000, head_received_at=1990)
    assert estimate.wait_seconds == 0


def test_a_head_from_a_clock_that_runs_ahead_counts_as_fresh() -> None:
    estimate = Estimate(least_age_seconds=2.0)
    estimate.look(now=1, head_received_at=50)
    estimate.look(now=2, head_received_at=51)
    assert estimate.wait_seconds == 0


def entry(kwargs: object) -> str:
    body = base64.b64encode(json.dumps([[], kwargs, {}]).encode()).decode()
    return json.dumps({"body": body})


def test_the_time_of_receipt_is_read_from_an_entry() -> None:
    assert received_at_ms_of(entry({"received_at_ms": 1_500})) == 1_500


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "[]",
        "{}",
        '{"body": 1}',
        entry(None),
        entry({}),
        entry({"received_at_ms": "x"}),
        entry({"received_at_ms": -1}),
    ],
)
def test_an_entry_that_is_none_of_ours_says_nothing(bad: str) -> None:
    assert received_at_ms_of(bad) is None
