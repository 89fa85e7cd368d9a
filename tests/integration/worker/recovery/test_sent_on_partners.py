"""An event of a partner's that is overdue is sent on as the partner's, and is ahead of nobody else's.

Real PostgreSQL, real Valkey.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from cashback_client.contract import OWN_PRODUCER, QUEUE, RETRY_QUEUE, SettleMessage, queue_of
from cashback_client.envelope import message_in
from tests.support.sent_on import Recovery, recovery
from worker.queue.entry import read_entry

# Longer than any test takes, and shorter than the time that an event has at first.
HURRY_SECONDS = 300.0
EDGE, MOBILE = queue_of("edge"), queue_of("mobile")


@pytest.fixture
def at(database_url: str, redis_url: str) -> Iterator[Recovery]:
    with recovery(database_url, redis_url, partners=("edge", "mobile"), hurry_seconds=HURRY_SECONDS) as made:
        yield made


def received(at: Recovery, number: int, producer: str | None = None) -> SettleMessage:
    """Receive an event whose receipt is overdue, those of lower numbers before those of higher ones."""
    return at.received(number, producer=producer, age_seconds=100 - number)


def near_their_cut_off(at: Recovery) -> None:
    """Let the cut-off of all events be nearer than what is a hurry."""
    at.at.connection.execute("ALTER TABLE receipts DISABLE TRIGGER receipts_guard")
    at.at.connection.execute("UPDATE receipts SET credit_cutoff_at = clock_timestamp() + interval '100 s'")
    at.at.connection.execute("ALTER TABLE receipts ENABLE TRIGGER receipts_guard")


def on(at: Recovery, queue: str) -> list[SettleMessage | None]:
    """Return the messages of a queue, the next one to be taken first."""
    client: Any = at.client
    return [message_in(entry) for entry in reversed(client.lrange(queue, 0, -1))]


def test_what_is_sent_on_has_the_producer_of_its_receipt(database_url: str, redis_url: str) -> None:
    with recovery(database_url, redis_url, hurry_seconds=HURRY_SECONDS) as at:
        events = [received(at, number, name) for number, name in ((1, "edge"), (2, None))]
        near_their_cut_off(at)

        at.sweeper.sweep()

        worker = at.worker()
        entries = [read_entry(taken, worker.holder) for taken in worker.take()]
        assert {message_in(entry.raw): entry.producer for entry in entries} == dict(
            zip(events, ("edge", OWN_PRODUCER), strict=True)
        )


def test_what_waits_in_a_partners_queue_is_left_there_whatever_waits_elsewhere(at: Recovery) -> None:
    events = [received(at, number, "edge") for number in range(1, 6)]
    for event in events:
        at.wait(event, EDGE)
    at.wait(received(at, 6), QUEUE)

    at.sweeper.sweep()

    assert (on(at, EDGE), on(at, RETRY_QUEUE)) == (events, [])


def test_what_was_lost_comes_to_the_head_of_its_own_queue_the_oldest_first_and_once(at: Recovery) -> None:
    lost = [received(at, number, "edge") for number in range(1, 6)]
    waiting = [received(at, number, "edge") for number in range(6, 9)]
    for event in waiting:
        at.wait(event, EDGE)

    for _ in range(3):
        at.all_overdue()
        at.sweeper.sweep()

    assert (on(at, EDGE), on(at, RETRY_QUEUE)) == (lost + waiting, [])


def test_an_empty_queue_says_that_its_events_are_lost_and_no_others(at: Recovery) -> None:
    waiting, lost, own = received(at, 1, "edge"), received(at, 2, "mobile"), received(at, 3)
    at.wait(waiting, EDGE)

    at.sweeper.sweep()

    assert (on(at, EDGE), on(at, MOBILE), on(at, RETRY_QUEUE)) == ([waiting], [lost], [own])


def test_what_is_settled_goes_the_way_of_all_retries(at: Recovery) -> None:
    event = received(at, 1, "edge")
    assert at.at.handler.handle(event, retries=0)
    at.all_overdue()

    at.sweeper.sweep()

    assert (on(at, EDGE), on(at, RETRY_QUEUE)) == ([], [event])


def test_a_flood_of_a_partner_that_nears_its_end_keeps_nobody_else_from_being_sent_on(
    database_url: str, redis_url: str
) -> None:
    with recovery(database_url, redis_url, partners=("edge",), limit=5, hurry_seconds=HURRY_SECONDS) as at:
        for number in range(1, 31):
            at.wait(received(at, number, "edge"), EDGE)
        own = received(at, 31)
        near_their_cut_off(at)

        at.sweeper.sweep()

        assert on(at, RETRY_QUEUE) == [own]
        assert len(on(at, EDGE)) == 35


def test_a_partner_whose_queue_is_no_list_keeps_nobody_from_being_sent_on(at: Recovery) -> None:
    at.client.set(EDGE, "no list")
    event, own = received(at, 1, "edge"), received(at, 2)
    near_their_cut_off(at)

    at.sweeper.sweep()

    assert on(at, RETRY_QUEUE) == [own, event]
    assert at.at.accepts() == []
