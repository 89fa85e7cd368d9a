"""What an event asks for stands in its receipt, whoever made that, and whatever came of the event."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from tests.support.books import add_user, ledger_on, new_event, payout
from worker.domain.settlement import Instruction, Settlement
from worker.ledger.ledger import Ledger, SettlementRequest, VerifiedEvent

Asking = tuple[VerifiedEvent, Instruction]
Settle = Callable[[Ledger, list[Asking]], list[Settlement]]

PAID, DECLINED, UNREAD, PARTLY = (
    (new_event(number), instruction)
    for number, instruction in enumerate(
        (
            payout(1, "ann", "10.50"),
            payout(2, "nobody", "-1"),
            replace(payout(3, "ann", "1"), kind=None, transaction_type=None, user_id=None, amount=None),
            replace(payout(4, "ann", "1"), kind=None, transaction_type=None),
        ),
        1,
    )
)
ALL = [PAID, DECLINED, UNREAD, PARTLY]
CODES = [200, 102145, 103753, 103753]
ON_RECORD = {
    1: ("ann", 1, Decimal("10.50")),
    2: ("nobody", 1, Decimal(-1)),
    3: (None, None, None),
    4: ("ann", None, Decimal(1)),
}


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        add_user(connection, "ann")
        yield connection


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    with ledger_on(database_url) as ledger:
        yield ledger


def alone(ledger: Ledger, asking: list[Asking]) -> list[Settlement]:
    return [ledger.settle(event, instruction) for event, instruction in asking]


def together(ledger: Ledger, asking: list[Asking]) -> list[Settlement]:
    requests = [
        SettlementRequest(event=event, instruction=instruction, attempt_seconds=3.0)
        for event, instruction in asking
    ]
    settled = ledger.settle_group(requests, deadline=ledger.next_deadline())
    return [settled[event.event_id] for event, _ in asking]


def just_received(asking: list[Asking]) -> list[Asking]:
    """Return these as received now."""
    return [
        (replace(event, received_at=new_event(1).received_at), instruction) for event, instruction in asking
    ]


def asked(connection: psycopg.Connection[Any]) -> dict[int, tuple[Any, ...]]:
    """Return what the event of each cashback asks for."""
    rows = connection.execute(
        "SELECT cashback_id, user_id, transaction_type, amount FROM receipts"
    ).fetchall()
    return {row[0]: row[1:] for row in rows}


@pytest.mark.parametrize("settle", [alone, together])
def test_a_receipt_that_the_worker_makes_says_what_its_event_asks_for(
    connection: psycopg.Connection[Any], ledger: Ledger, settle: Settle
) -> None:
    assert [each.code for each in settle(ledger, just_received(ALL))] == CODES

    assert asked(connection) == ON_RECORD


@pytest.mark.parametrize("settle", [alone, together])
def test_a_receipt_that_does_not_say_so_is_told_once(
    connection: psycopg.Connection[Any], ledger: Ledger, settle: Settle
) -> None:
    # Given receipts that were made without it
    asking = just_received(ALL)
    for event, _ in asking:
        connection.execute(
            "SELECT record_receipt(%s, %s, %s, %s, 25, 30, 3)",
            (event.event_id, event.token, event.cashback_id, event.received_at),
        )
    assert set(asked(connection).values()) == {(None, None, None)}

    # When their events are settled
    assert [each.code for each in settle(ledger, asking)] == CODES

    # Then they say so, and go on to say the same
    assert asked(connection) == ON_RECORD
    settle(ledger, [(event, payout(event.cashback_id, "eve", "7")) for event, _ in asking[:2]])
    assert asked(connection) == ON_RECORD
