"""Whom a receiver refuses for its backlog: by the events that it took, and what is settled of them."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from cashback_client.contract import SettleMessage
from producer.copies.errors import CopyFailed
from producer.copies.event import ReceivedEvent
from producer.copies.receipts.recording import Progress
from producer.receiver.backlog import (
    LOOK_SECONDS,
    MAX_ASKED,
    MAX_REMEMBERED,
    STANDSTILL_LOOKS,
    Backlog,
)


class Store:
    """Says which events are settled; and how old the oldest is that waits."""

    def __init__(self) -> None:
        self.settled: set[UUID] = set()
        self.age_seconds: float | None = None
        self.fails_with: Exception | None = None
        self.asked: list[Sequence[UUID]] = []

    async def progress(
        self, event_ids: Sequence[UUID], /, *, timeout_seconds: float, producer: str
    ) -> Progress:
        del timeout_seconds, producer
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
