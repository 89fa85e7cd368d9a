"""How long a new event is expected to wait, from looks at what is settled and what waits."""

import pytest

from producer.receiver.backlog import LOOK_SECONDS, STANDSTILL_LOOKS, Estimate

LEAST_AGE_SECONDS = 1.0


class Load:
    """Makes that arrive and are settled, some a second, as an estimate sees them four times a second."""

    def __init__(self) -> None:
        self.estimate = Estimate(least_age_seconds=LEAST_AGE_SECONDS)
        self.now = 1_000.0
        self.waiting: list[float] = []
        self._due = 0.0

    def goes_on(self, *, seconds: float, arrive: float, settle: float) -> "Load":
        for _ in range(round(seconds / LOOK_SECONDS)):
            self.now += LOOK_SECONDS
            self.waiting += [self.now] * round(arrive * LOOK_SECONDS)
            self._due += settle * LOOK_SECONDS
            settled, self.waiting = self.waiting[: int(self._due)], self.waiting[int(self._due) :]
            self._due = self._due - int(self._due) if self.waiting else 0.0
            age_seconds = self.now - self.waiting[0] if self.waiting else None
            self.estimate.look(
                now=self.now, settled=len(settled), waiting=len(self.waiting), age_seconds=age_seconds
            )
        return self

    @property
    def wait_seconds(self) -> float:
        return self.estimate.wait_seconds


def test_nothing_that_waits_means_no_wait() -> None:
    assert Load().goes_on(seconds=5, arrive=100, settle=200).wait_seconds == 0


def test_five_times_the_load_is_foreseen_long_before_anybody_has_waited_for_so_long() -> None:
    load = Load().goes_on(seconds=3, arrive=200, settle=40)

    # 480 wait, and 40 are settled a second.
    assert load.wait_seconds == pytest.approx(12.0)


def test_the_calm_before_a_burst_does_not_hide_it() -> None:
    load = Load().goes_on(seconds=60, arrive=4, settle=40).goes_on(seconds=2, arrive=200, settle=40)

    assert load.wait_seconds == pytest.approx(8.0, rel=0.1)


def test_the_calm_before_a_burst_does_not_count_as_slowness() -> None:
    load = Load().goes_on(seconds=60, arrive=4, settle=400)
    # Given 600 makes at one moment, stamped together,
    load.waiting += [load.now] * 600

    load.goes_on(seconds=LEAST_AGE_SECONDS + LOOK_SECONDS, arrive=0, settle=400)

    # then the 100 that are left take a quarter of a second.
    assert load.wait_seconds == pytest.approx(0.25, rel=0.1)


def test_one_who_keeps_up_waits_for_as_long_as_the_others_do() -> None:
    load = Load().goes_on(seconds=4, arrive=100, settle=0).goes_on(seconds=4, arrive=100, settle=100)

    assert load.wait_seconds == pytest.approx(4.0, rel=0.05)


def test_a_backlog_that_is_worked_off_is_not_held_against_a_newcomer() -> None:
    load = Load().goes_on(seconds=10, arrive=100, settle=0).goes_on(seconds=2, arrive=100, settle=400)

    # The oldest has waited for 9 s by now, and the 400 that are left are settled in one.
    assert load.wait_seconds == pytest.approx(1.0, rel=0.05)


def test_workers_that_are_back_are_not_slow_for_having_been_away() -> None:
    load = Load().goes_on(seconds=9, arrive=100, settle=0)
    # Given workers that find the queue again one by one
    paces = [8, 100, 400, 400, 400, 400, 400]

    waits = [load.goes_on(seconds=LOOK_SECONDS, arrive=100, settle=pace).wait_seconds for pace in paces]

    # then nobody is thought to wait for longer than those who have, and soon it is what is left that counts.
    assert max(waits) < 10
    assert waits[-1] == pytest.approx(1.5, rel=0.3)


def test_a_short_pause_of_the_workers_is_no_backlog() -> None:
    assert Load().goes_on(seconds=LEAST_AGE_SECONDS, arrive=100, settle=0).wait_seconds == 0


def test_workers_that_are_away_make_the_wait_as_long_as_they_have_been_away() -> None:
    assert Load().goes_on(seconds=5, arrive=100, settle=0).wait_seconds == pytest.approx(4.75)


def test_workers_that_went_away_a_moment_ago_are_no_slow_workers() -> None:
    load = Load().goes_on(seconds=5, arrive=100, settle=100)

    waits = [load.goes_on(seconds=LOOK_SECONDS, arrive=100, settle=0).wait_seconds for _ in range(16)]

    assert max(waits) < 5


def test_what_was_seen_before_nobody_could_be_asked_says_nothing_after_it() -> None:
    load = Load().goes_on(seconds=5, arrive=100, settle=10)
    load.estimate.forget()

    assert load.wait_seconds == 0


def test_the_first_looks_after_nobody_could_be_asked_refuse_nobody() -> None:
    load = Load().goes_on(seconds=5, arrive=100, settle=0)
    load.estimate.forget()
    # Given 500 that waited only for PostgreSQL to be back, and workers that find it again one by one
    paces = [0, 8, 100, 400, 400, 400, 400]

    waits = [load.goes_on(seconds=LOOK_SECONDS, arrive=100, settle=pace).wait_seconds for pace in paces]

    # then nothing is said before they have had a second, and then what is left takes about that long.
    assert waits[: STANDSTILL_LOOKS - 1] == [0, 0, 0, 0]
    assert 0 < max(waits) < 2


def test_workers_that_are_away_when_looks_begin_are_found_away_after_a_second() -> None:
    load = Load().goes_on(seconds=5, arrive=100, settle=0)
    load.estimate.forget()

    waits = [
        load.goes_on(seconds=LOOK_SECONDS, arrive=100, settle=0).wait_seconds for _ in range(STANDSTILL_LOOKS)
    ]

    assert waits == [0, 0, 0, 0, pytest.approx(6.0)]
