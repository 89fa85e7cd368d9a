"""Verification of many events gives way to whatever else the event loop has to do."""

import asyncio

from producer.copies.event import ReceivedEvent
from producer.copies.receipts.connection import EventState
from producer.receiver.events.taking.intake import LOOKED_AT_ONCE, Intake
from producer.receiver.events.taking.record import Record
from producer.receiver.events.taking.times import ReceiptTimes
from producer.receiver.events.taking.verifying import AT_A_TIME, Lookups, Turns
from tests.support import virtual_time
from tests.support.betcore import Endpoints, cashback, signer
from tests.support.two_copies import Scene
from tests.support.verifiers import AT, verifier_of

NOW_MS = (AT + 1) * 1000


class NothingOnRecord:
    """Knows no event."""

    async def states(self, *_event_ids: object, **_options: object) -> list[EventState]:
        return []


def intake_of(
    made: Scene, *, events_in_flight: int = 200, accepted: list[ReceivedEvent] | None = None
) -> Intake:
    accepted = [] if accepted is None else accepted
    endpoints = Endpoints()
    endpoints.publish(signer(1))
    return Intake(
        lookups=Lookups(verifier_of(endpoints), timeout_seconds=1),
        copies=made.copies,
        record=Record(NothingOnRecord(), at_once=2, timeout_seconds=1),
        times=ReceiptTimes(ahead_ms=5_000, deadline_ms=30_000),
        events_in_flight=events_in_flight,
        on_accepted=accepted.append,
    )


def events(number: int) -> list[object]:
    return [{"token": signer(1).token(at=AT, data=cashback(each + 1))} for each in range(number)]


def test_the_loop_serves_others_after_every_few_however_many_requests_there_are() -> None:
    async def run() -> int:
        turns, done, most = Turns(), 0, 0

        def work(_item: int) -> None:
            nonlocal done
            done += 1

        works = [asyncio.create_task(turns.each(range(1_000), work)) for _ in range(4)]
        while not all(each.done() for each in works):
            before = done
            await asyncio.sleep(0)
            most = max(most, done - before)
        assert done == 4_000
        return most

    assert asyncio.run(run()) == AT_A_TIME


def test_requests_are_verified_in_turns() -> None:
    async def run() -> list[int]:
        turns, order = Turns(), list[int]()
        await asyncio.gather(
            *(turns.each([number] * 100, order.append) for number in range(4)),
        )
        return order

    order = asyncio.run(run())

    assert [order[start] for start in range(0, 400, AT_A_TIME)] == [0, 1, 2, 3] * (100 // AT_A_TIME)


def test_a_make_in_the_middle_of_a_thousand_events_is_answered_before_most_of_them() -> None:
    async def run() -> None:
        made = Scene()
        items = events(1_000)
        batch = asyncio.create_task(intake_of(made).take(items, producer="edge", now_ms=NOW_MS))
        # Given a request of which some events have been stored, and most have not been looked at,
        while not made.stores["receipt"].taken:  # noqa: ASYNC110 - the clock is virtual
            await asyncio.sleep(0.0001)

        # when a make comes
        is_certain, _ = await made.make(-7)

        # then it is stored before the rest of them.
        assert is_certain
        assert not batch.done()
        assert len(made.stores["receipt"].taken) < 5 * LOOKED_AT_ONCE
        results = await batch
        assert {each.result for each in results} == {"accepted"}
        assert len(made.stores["message"].taken) == 1_001
        await made.copies.close(timeout_seconds=5)

    virtual_time.run(run())


def test_no_more_events_are_on_their_way_than_have_a_place() -> None:
    async def run() -> None:
        made = Scene()
        accepted = list[ReceivedEvent]()
        intake = intake_of(made, events_in_flight=7, accepted=accepted)

        results = await intake.take(events(50), producer="edge", now_ms=NOW_MS)

        assert [each.result for each in results] == ["accepted"] * 50
        assert max(len(group) for group in made.stores["receipt"].groups) <= 7
        assert {each.producer for each in made.stores["receipt"].taken} == {"edge"}
        assert sorted(each.cashback_id for each in accepted) == list(range(1, 51))
        await made.copies.close(timeout_seconds=5)

    virtual_time.run(run())


def test_where_no_copy_can_be_made_the_rest_of_the_request_is_not_waited_for() -> None:
    async def run() -> None:
        made = Scene()
        for store in made.stores.values():
            store.is_there = False
        loop = asyncio.get_running_loop()
        began = loop.time()

        results = await intake_of(made, events_in_flight=10).take(events(300), producer="edge", now_ms=NOW_MS)

        assert {(each.result, each.reason) for each in results} == {("unavailable", "no_copy")}
        # As long as those take that were tried at once, and not thirty times that.
        assert loop.time() - began < 3 * made.copies.timeout_seconds
        await made.copies.close(timeout_seconds=5)

    virtual_time.run(run())
