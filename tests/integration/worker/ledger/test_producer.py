"""A receipt that the worker makes says who handed its event in; one that is there says what it said."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import psycopg
import pytest

from cashback_client.contract import OWN_PRODUCER
from producer.copies.event import ReceivedEvent
from tests.support.accept_answers import ACK
from tests.support.betcore import cashback
from tests.support.books import add_user, ledger_on, new_event, payout
from tests.support.handler_bench import bench
from tests.support.receipts import record_as_another
from worker.domain.settlement import Done, Settlement, State
from worker.ledger.ledger import Ledger, SettlementRequest, VerifiedEvent

Settle = Callable[..., list[Settlement]]


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        add_user(connection, "ann")
        yield connection


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    with ledger_on(database_url) as ledger:
        yield ledger


def event_of(producer: str | None, cashback_id: int = 1) -> VerifiedEvent:
    return replace(new_event(cashback_id), producer=producer)


def settle_alone(ledger: Ledger, *events: VerifiedEvent) -> list[Settlement]:
    return [ledger.settle(event, payout(event.cashback_id, "ann", "1")) for event in events]


def settle_together(ledger: Ledger, *events: VerifiedEvent) -> list[Settlement]:
    requests = [
        SettlementRequest(event=event, instruction=payout(event.cashback_id, "ann", "1"), attempt_seconds=3.0)
        for event in events
    ]
    settled = ledger.settle_group(requests, deadline=ledger.next_deadline())
    return [settled[event.event_id] for event in events]


def producers(connection: psycopg.Connection) -> dict[int, str | None]:
    """Return who handed in the event of each cashback."""
    return dict(connection.execute("SELECT cashback_id, producer FROM receipts").fetchall())


@pytest.mark.parametrize("settle", [settle_alone, settle_together])
def test_a_receipt_that_the_worker_makes_has_its_producer(
    connection: psycopg.Connection, ledger: Ledger, settle: Settle
) -> None:
    names = ("edge", None, OWN_PRODUCER, "mobile")
    events = [event_of(name, number) for number, name in enumerate(names, 1)]

    assert [each.code for each in settle(ledger, *events)] == [200] * 4

    assert producers(connection) == {1: "edge", 2: None, 3: None, 4: "mobile"}


@pytest.mark.parametrize("settle", [settle_alone, settle_together])
def test_who_handed_it_in_first_stays_on_record(
    connection: psycopg.Connection, ledger: Ledger, settle: Settle
) -> None:
    first, second, third = event_of("edge", 1), event_of(None, 2), event_of("edge", 3)
    settle(ledger, first, second, third)

    again = [
        replace(first, producer=None),
        replace(second, producer="edge"),
        replace(third, producer="mobile"),
    ]
    settle(ledger, *again)

    assert producers(connection) == {1: "edge", 2: None, 3: "edge"}


def test_a_message_that_comes_in_another_way_than_its_receipt_changes_nothing(database_url: str) -> None:
    # Given two events, whose receipts a receiver made: one of a partner's, one of its own
    with bench(database_url, ACK) as on:
        messages = [on.message(cashback(number)) for number in (1, 2)]
        received = [
            ReceivedEvent(message, message.event_id, number, {}, producer)
            for message, number, producer in zip(messages, (1, 2), ("edge", OWN_PRODUCER), strict=True)
        ]
        record_as_another(on.connection, *received)

        # When their messages come from other lists
        for message, producer in zip(messages, (OWN_PRODUCER, "edge"), strict=True):
            assert on.handle(message, producer=producer) == Done(State.ANSWERED)

        # Then the receipts say who was the first
        assert producers(on.connection) == {1: "edge", 2: None}


def test_a_message_without_a_receipt_gets_one_with_the_producer_of_its_list(database_url: str) -> None:
    with bench(database_url, ACK) as on:
        assert on.handle(on.message(), producer="edge") == Done(State.ANSWERED)

        assert list(producers(on.connection).values()) == ["edge"]
