"""Who handed in an event is on record with its receipt, and stays so."""

import asyncio
from uuid import UUID

import psycopg

from cashback_client.contract import OWN_PRODUCER, PRODUCER_NAME
from producer.copies.errors import CopyFailed
from producer.copies.receipts.recording import Receipts
from tests.support.futures import end_of
from tests.support.receipts import event, recorded_together, with_receipts

NAMES = ("edge", "e", "7", "edge-2", "e--2", "e" * 32)
NO_NAMES = ("Edge", "edge ", "edge\n", "-edge", "edge-", "e" * 33, "\u00e9dge", "edge_2", "")


def producers(database_url: str) -> dict[UUID, str | None]:
    with psycopg.connect(database_url) as connection:
        return dict(connection.execute("SELECT event_id, producer FROM receipts").fetchall())


def test_each_event_of_a_group_has_its_own_producer(database_url: str) -> None:
    names = [OWN_PRODUCER, "edge", "mobile", OWN_PRODUCER, "edge"]
    events = [event(number, producer=name) for number, name in enumerate(names)]

    assert recorded_together(database_url, events) == [None] * len(events)

    assert producers(database_url) == {
        each.event_id: None if each.producer == OWN_PRODUCER else each.producer for each in events
    }


def test_whoever_handed_an_event_in_first_stays_on_record(database_url: str) -> None:
    async def work(receipts: Receipts) -> None:
        for number, names in enumerate(((OWN_PRODUCER, "edge"), ("edge", OWN_PRODUCER), ("edge", "mobile"))):
            for name in names:
                await end_of(receipts.record, event(number, producer=name))

    with_receipts(database_url, work)

    expected = {event(0).event_id: None, event(1).event_id: "edge", event(2).event_id: "edge"}
    assert producers(database_url) == expected


def test_of_an_event_that_stands_twice_in_a_group_the_earlier_one_counts(database_url: str) -> None:
    again = event(1, ahead_seconds=-5, producer="edge")

    recorded_together(database_url, [event(0), event(1, ahead_seconds=-3, producer="mobile"), again])

    assert producers(database_url)[again.event_id] == "edge"


def test_a_producer_that_has_no_name_fails_nobody_else(database_url: str) -> None:
    events = [event(0), event(1, producer="Edge"), event(2, producer="edge")]

    outcomes = recorded_together(database_url, events)

    assert [type(each) for each in outcomes] == [type(None), CopyFailed, type(None)]
    assert set(producers(database_url)) == {events[0].event_id, events[2].event_id}


def test_a_producer_sees_its_own_events_alone(database_url: str) -> None:
    events = [event(0), event(1, producer="edge"), event(2, producer="mobile")]
    seen: dict[str | None, set[UUID]] = {}

    async def work(receipts: Receipts) -> None:
        await asyncio.gather(*(end_of(receipts.record, each) for each in events))
        for name in (None, OWN_PRODUCER, "edge", "mobile", "other"):
            states = await receipts.states(
                [each.event_id for each in events], timeout_seconds=60, producer=name
            )
            seen[name] = {state.event_id for state in states}

    with_receipts(database_url, work)

    assert seen.pop(None) == {each.event_id for each in events}
    assert seen.pop("other") == set()
    assert seen == {each.producer: {each.event_id} for each in events}


def test_the_schema_and_the_contract_agree_on_what_a_producer_may_be_called(database_url: str) -> None:
    names = [*NAMES, *NO_NAMES]

    outcomes = recorded_together(
        database_url, [event(number, producer=name) for number, name in enumerate(names)]
    )

    assert [name for name, end in zip(names, outcomes, strict=True) if end is None] == list(NAMES)
    assert [name for name in names if PRODUCER_NAME.fullmatch(name)] == list(NAMES)


def test_the_schema_and_the_contract_call_our_own_receiver_the_same(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT own_producer()").fetchone() == (OWN_PRODUCER,)
