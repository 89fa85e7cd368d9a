"""One producer's wait is its own."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from producer.copies.event import ReceivedEvent
from producer.copies.receipts.recording import Progress
from producer.receiver.backlog import LOOK_SECONDS, STANDSTILL_LOOKS, Backlog
from producer.receiver.events.admission.backlogs import Backlogs
from tests.support.copies import event

LONGEST_WAIT_SECONDS = 12


class Store:
    """Says which events are settled; and how old the oldest is that waits."""

    def __init__(self) -> None:
        self.settled: set[UUID] = set()
        self.asked = 0

    async def progress(
        self, event_ids: Sequence[UUID], /, *, timeout_seconds: float, producer: str
    ) -> Progress:
        del timeout_seconds, producer
        self.asked += 1
        return Progress([each for each in event_ids if each in self.settled], LONGEST_WAIT_SECONDS + 1)


class Scene:
    """Backlogs with a clock of their own."""

    def __init__(self) -> None:
        self.store = Store()
        self.now = 1_000.0
        self.backlogs = Backlogs(
            lambda producer: Backlog(
                self.store,
                producer,
                longest_wait_seconds=LONGEST_WAIT_SECONDS,
                cutoff_seconds=25,
                timeout_seconds=1,
                clock=lambda: self.now,
            )
        )

    def take(self, number: int, producer: str) -> UUID:
        made = event(number, received_at_ms=int(self.now * 1000))
        self.backlogs.taken(ReceivedEvent(made.message, made.event_id, number, {}, producer))
        return made.event_id

    def look(self, times: int = 1) -> None:
        for _ in range(times):
            self.now += LOOK_SECONDS
            asyncio.run(self.backlogs.look())


def test_a_producer_whose_events_stand_still_is_refused_and_no_other_one() -> None:
    scene = Scene()
    stuck = [scene.take(number, "edge") for number in range(5)]
    for number in range(STANDSTILL_LOOKS):
        scene.store.settled.add(scene.take(100 + number, "mobile"))
        scene.look()

    assert scene.backlogs.is_too_long("edge")
    assert not scene.backlogs.is_too_long("mobile")
    assert not scene.backlogs.is_too_long("another")

    scene.store.settled |= set(stuck)
    scene.look()

    assert not scene.backlogs.is_too_long("edge")


def test_where_nothing_waits_nobody_is_asked() -> None:
    scene = Scene()
    scene.store.settled.add(scene.take(1, "edge"))
    scene.look(10)

    assert scene.store.asked == 1


def test_a_pause_is_no_slow_pace() -> None:
    scene = Scene()
    # Given a producer whose events were settled, and who comes back after a minute with many at once,
    for number in range(STANDSTILL_LOOKS):
        scene.store.settled.add(scene.take(number, "edge"))
        scene.look()
    scene.now += 60
    many = [scene.take(100 + number, "edge") for number in range(300)]

    # when the first of them are settled a second later,
    scene.now += 1
    scene.store.settled |= set(many[:20])
    scene.look()

    # then the pace is not reckoned from a minute ago.
    assert not scene.backlogs.is_too_long("edge")
