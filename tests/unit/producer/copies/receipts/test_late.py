"""Receipts that are made late: what is tried, when, and what is given up. The clock is a virtual one."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from structlog.testing import capture_logs

from producer.copies.circuit import Circuit
from producer.copies.errors import CopyTimedOut
from producer.copies.event import ReceivedEvent
from producer.copies.group_commit import OnEnd
from producer.copies.receipts.late import MAX_AT_ONCE, LateReceipts
from tests.support import virtual_time
from tests.support.copies import TIMEOUT_SECONDS, Store, event
from tests.support.futures import end_of

CUTOFF_SECONDS = 25.0


class Scene:
    """Late receipts of a store, and what became of them."""

    def __init__(self, store: Store, *, max_late: int = 1000) -> None:
        self.store = store
        self.ends: Counter[str] = Counter()
        self.circuit = Circuit("receipt", server="PostgreSQL", on_open=self._look)
        self.late = LateReceipts(
            store,
            circuit=self.circuit,
            cutoff_seconds=CUTOFF_SECONDS,
            now_ms=lambda: int(asyncio.get_running_loop().time() * 1000),
            random=lambda: 0.5,
            on_end=lambda result, events: self.ends.update({result: events}),
            max_late=max_late,
        )

    def _look(self) -> None:
        self.late.look()

    def add(self, *numbers: int) -> None:
        """Let these wait; each was received at its own number of milliseconds."""
        for number in numbers:
            self.late.add(event(number, received_at_ms=number))

    def lose_the_server(self) -> None:
        """Have it found away."""
        self.store.is_there = False
        self.circuit.failed(CopyTimedOut(), began=float("inf"), now=0.0)


def scene(work: Callable[[Scene], Awaitable[None]], store: Store, *, max_late: int = 1000) -> Scene:
    """Do this to late receipts of a store, and wait until nothing more happens."""

    async def run() -> Scene:
        made = Scene(store, max_late=max_late)
        await work(made)
        await asyncio.sleep(2 * CUTOFF_SECONDS)
        return made

    return virtual_time.run(run())


def test_what_failed_is_recorded_once_the_server_is_back_as_it_was_received() -> None:
    async def work(made: Scene) -> None:
        made.lose_the_server()
        made.add(1, 2, 3)
        await asyncio.sleep(10)
        assert made.late.waiting == 3
        made.store.is_there = True

    made = scene(work, Store())

    assert made.store.numbers == [1, 2, 3]
    assert [each.message.received_at_ms for each in made.store.taken] == [1, 2, 3]
    assert made.late.waiting == 0
    assert made.ends == {"recorded": 3}
    assert not made.circuit.is_away


def test_a_late_receipt_has_the_producer_that_handed_its_event_in() -> None:
    async def work(made: Scene) -> None:
        made.lose_the_server()
        made.late.add(event(1, received_at_ms=1, producer="edge"))
        await asyncio.sleep(10)
        made.store.is_there = True

    assert [each.producer for each in scene(work, Store()).store.taken] == ["edge"]


def test_a_server_that_stays_away_is_tried_seldom_and_by_one_group_at_a_time() -> None:
    async def work(made: Scene) -> None:
        made.lose_the_server()
        made.add(*range(200))
        await asyncio.sleep(20)

    made = scene(work, Store())

    # Each attempt takes the whole time-out, and the longest pause is as long.
    assert 5 <= len(made.store.groups) <= 20 / TIMEOUT_SECONDS
    assert all(len(group) <= MAX_AT_ONCE for group in made.store.groups)


def test_after_the_cut_off_it_is_given_up_with_one_warning() -> None:
    async def work(made: Scene) -> None:
        made.lose_the_server()
        made.add(*range(20))

    with capture_logs() as lines:
        made = scene(work, Store())

    assert made.store.numbers == []
    assert made.late.waiting == 0
    assert made.ends == {"cut_off_passed": 20}
    (line,) = [line for line in lines if line["event"] == "receipts_given_up"]
    assert (line["reason"], line["events"], len(line["event_ids"])) == ("cut_off_passed", 20, 10)


def test_where_too_many_wait_the_oldest_go_and_a_warning_counts_them() -> None:
    async def work(made: Scene) -> None:
        made.lose_the_server()
        made.add(*range(14))
        assert made.late.waiting == 10
        await asyncio.sleep(1)
        made.store.is_there = True

    with capture_logs() as lines:
        made = scene(work, Store(), max_late=10)

    assert made.store.numbers == list(range(4, 14))
    assert made.ends == {"too_many": 4, "recorded": 10}
    (line,) = [line for line in lines if line["event"] == "receipts_given_up"]
    assert (line["reason"], line["events"]) == ("too_many", 4)


def test_a_receipt_that_fails_by_itself_holds_up_no_other() -> None:
    spoilt = frozenset(range(MAX_AT_ONCE))

    async def work(made: Scene) -> None:
        made.add(*range(MAX_AT_ONCE + 5))
        await asyncio.sleep(5)
        assert made.late.waiting == MAX_AT_ONCE

    made = scene(work, Store(spoilt=spoilt))

    assert made.store.numbers == list(range(MAX_AT_ONCE, MAX_AT_ONCE + 5))
    assert made.ends == {"recorded": 5, "cut_off_passed": MAX_AT_ONCE}


def test_a_fresh_receipt_waits_for_no_more_than_one_group_of_late_ones() -> None:
    fresh = 10_000

    async def work(made: Scene) -> None:
        made.lose_the_server()
        made.add(*range(500))
        made.store.is_there = True
        # In the midst of them, one group after the other.
        await asyncio.sleep(0.08)
        assert 0 < len(made.store.taken) < 500 - MAX_AT_ONCE
        before = len(made.store.groups)
        await end_of(made.store.record, event(fresh))
        served = made.store.groups[before:]
        assert any(fresh in group for group in served)
        assert len(served) <= 2

    made = scene(work, Store())

    assert set(made.store.numbers) == {*range(500), fresh}


def test_a_server_that_was_found_away_is_looked_for_though_no_receipt_waits() -> None:
    async def work(made: Scene) -> None:
        made.lose_the_server()
        await asyncio.sleep(30)
        assert made.circuit.is_away
        made.store.is_there = True

    made = scene(work, Store())

    assert not made.circuit.is_away
    assert 5 <= made.store.checks <= 30
    assert made.store.groups == []


def test_the_same_event_waits_once() -> None:
    async def work(made: Scene) -> None:
        made.add(1, 1, 1)

    assert scene(work, Store()).store.numbers == [1]


def test_at_the_end_all_are_tried_once_more() -> None:
    async def work(made: Scene) -> None:
        made.lose_the_server()
        made.add(*range(120))
        await asyncio.sleep(10)
        made.store.is_there = True
        await made.late.try_last()
        assert made.store.numbers == list(range(120))
        made.late.leave()

    made = scene(work, Store())

    assert made.ends == {"recorded": 120}


def test_at_the_end_a_server_that_is_away_costs_one_attempt_and_a_warning() -> None:
    async def work(made: Scene) -> None:
        made.lose_the_server()
        made.add(*range(120))
        await asyncio.sleep(3)
        loop, before = asyncio.get_running_loop(), len(made.store.groups)
        started = loop.time()
        await made.late.try_last()
        assert loop.time() - started <= TIMEOUT_SECONDS + 0.001
        assert len(made.store.groups) <= before + 1
        made.late.leave()

    with capture_logs() as lines:
        made = scene(work, Store())

    assert made.ends == {"stopped": 120}
    assert [line["reason"] for line in lines if line["event"] == "receipts_given_up"] == ["stopped"]
    # Nothing goes on behind the end.
    assert made.late.waiting == 0


def test_nothing_is_tried_behind_the_end() -> None:
    async def work(made: Scene) -> None:
        await made.late.try_last()
        made.add(1)

    assert scene(work, Store()).store.groups == []


def test_a_fault_of_ours_with_one_receipt_holds_up_no_other() -> None:
    class Faulty(Store):
        def record(self, event: ReceivedEvent, on_end: OnEnd) -> None:
            if event.cashback_id == 1:
                raise RuntimeError("a fault of ours")
            self.copy(event, on_end)

    async def work(made: Scene) -> None:
        made.add(1, 2)

    made = scene(work, Faulty())

    assert made.store.numbers == [2]
    assert made.ends == {"recorded": 1, "cut_off_passed": 1}


def test_a_fault_of_ours_while_a_server_is_looked_for_ends_no_looking() -> None:
    class Faulty(Store):
        async def check(self, *, timeout_seconds: float) -> None:
            await super().check(timeout_seconds=timeout_seconds)
            if self.checks == 1:
                raise RuntimeError("a fault of ours")

    async def work(made: Scene) -> None:
        made.lose_the_server()
        made.store.is_there = True

    assert not scene(work, Faulty()).circuit.is_away
