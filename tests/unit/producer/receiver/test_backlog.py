"""How long a new event is expected to wait, from looks at what is settled and what waits."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from producer.client.contract import SettleMessage
from producer.copies.errors import CopyFailed
from producer.copies.event import ReceivedEvent
from producer.copies.receipts import Progress
from producer.receiver.backlog import (
    LOOK_SECONDS,
    MAX_ASKED,
    MAX_REMEMBERED,
    STANDSTILL_LOOKS,
    Backlog,
    Estimate,
)

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


class Store:
    """Says which events are settled; and how old the oldest is that waits."""

    def __init__(self) -> None:
        self.settled: set[UUID] = set()
        self.age_seconds: float | None = None
        self.fails_with: Exception | None = None
        self.asked: list[Sequence[UUID]] = []

    async def progress(self, event_ids: Sequence[UUID], /, *, timeout_seconds: float) -> Progress:
        del timeout_seconds
        self.asked.append(event_ids)
        if self.fails_with is not None:
            raise self.fails_with
        return Progress([each for each in event_ids if each in self.settled], self.age_seconds)


class Receiver:
    """A backlog with a clock of its own, that takes events."""

    def __init__(self) -> None:
        self.store = Store()
        self.now = 1_000.0
        self.backlog = Backlog(
            self.store,
            longest_wait_seconds=12,
            cutoff_seconds=25,
            timeout_seconds=1,
            clock=lambda: self.now,
        )

    def take(self, events: int, *, name: str = "a") -> list[UUID]:
        ids = []
        for number in range(events):
            message = SettleMessage(
                token=f"{name}.{self.now}-{number}.c", received_at_ms=int(self.now * 1000)
            )
            self.backlog.taken(ReceivedEvent(message, message.event_id, 1, {}))
            ids.append(message.event_id)
        return ids

    def look(self, times: int = 1) -> None:
        for _ in range(times):
            self.now += LOOK_SECONDS
            asyncio.run(self.backlog.look())


def test_makes_are_refused_while_the_workers_are_away_for_too_long_and_taken_again_afterwards() -> None:
    receiver = Receiver()
    taken = receiver.take(10)
    receiver.store.age_seconds = 13
    receiver.look(STANDSTILL_LOOKS)
    assert receiver.backlog.is_too_long()

    receiver.store.settled |= set(taken)
    receiver.store.age_seconds = None
    receiver.look()

    assert not receiver.backlog.is_too_long()


def test_what_others_have_on_record_refuses_nobody_who_waits_for_nothing() -> None:
    receiver = Receiver()
    receiver.store.age_seconds = 20

    receiver.look(4)

    assert receiver.backlog.wait_seconds == 0


def test_what_waits_elsewhere_is_not_before_a_newcomer_who_is_settled_at_once() -> None:
    receiver = Receiver()
    receiver.store.age_seconds = 20
    # Given that of 40 makes a second every other one is on another way: another ledger, a worker that hangs
    for _ in range(80):
        receiver.store.settled |= set(receiver.take(10)[::2])
        receiver.look()

    assert receiver.backlog.wait_seconds == 0


def test_a_token_that_is_sent_again_while_others_wait_does_not_stand_for_them() -> None:
    receiver = Receiver()
    receiver.store.age_seconds = 20
    receiver.store.settled |= set(receiver.take(1))
    line: list[UUID] = []
    # Given 80 makes a second, of which 40 are settled, in their order; and some that came in vain
    for look in range(21):
        line += receiver.take(20)
        receiver.store.settled |= set(line[: 10 * look])
        receiver.store.settled |= set(receiver.take(2, name="again"))
        receiver.look()

    assert receiver.backlog.wait_seconds > 4


FAILURES = pytest.mark.parametrize(
    "error", [CopyFailed("away"), ValueError("unforeseen")], ids=["away", "unforeseen"]
)


@FAILURES
def test_nothing_is_refused_while_postgresql_cannot_be_asked(error: Exception) -> None:
    receiver = Receiver()
    receiver.take(10)
    receiver.store.age_seconds = 20
    receiver.look(STANDSTILL_LOOKS)
    assert receiver.backlog.is_too_long()
    receiver.store.fails_with = error

    receiver.look()

    assert not receiver.backlog.is_too_long()


@FAILURES
def test_that_nobody_can_be_asked_is_said_once_for_each_time(error: Exception) -> None:
    receiver = Receiver()
    with capture_logs() as logs:
        for failure in (error, error, error, None, error):
            receiver.store.fails_with = failure
            receiver.look()

    assert [line["event"] for line in logs] == ["backlog_unknown", "backlog_unknown"]


def test_what_cannot_be_settled_in_time_any_more_is_forgotten() -> None:
    receiver = Receiver()
    receiver.take(3)
    receiver.look()
    receiver.now += 25

    receiver.look()

    assert [len(asked) for asked in receiver.store.asked] == [3, 0]


def test_the_oldest_are_asked_for_and_no_more_than_some() -> None:
    receiver = Receiver()
    first = receiver.take(MAX_ASKED)
    receiver.now += 1
    receiver.take(MAX_ASKED)

    receiver.look()

    assert receiver.store.asked == [first]


def test_what_is_remembered_is_bounded() -> None:
    receiver = Receiver()

    receiver.take(MAX_REMEMBERED + 1)

    assert len(receiver.backlog._unsettled) == MAX_REMEMBERED  # noqa: SLF001 - a limit on memory
