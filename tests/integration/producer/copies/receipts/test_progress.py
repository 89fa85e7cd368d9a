"""How far events have come, as a receiver asks for it, on a real PostgreSQL."""

from datetime import timedelta
from uuid import uuid4

import psycopg

from cashback_client.contract import OWN_PRODUCER
from producer.copies.receipts.recording import Progress, Receipts
from tests.support.books import add_user, cancel, new_event, payout, policy, pool_of
from tests.support.receipts import with_receipts
from worker.domain.settlement import State
from worker.ledger.ledger import Ledger, VerifiedEvent

LIMIT_SECONDS = 120.0


def progress_of(database_url: str, events: list[VerifiedEvent], *, producer: str = OWN_PRODUCER) -> Progress:
    found: list[Progress] = []

    async def work(receipts: Receipts) -> None:
        ids = [event.event_id for event in events]
        asked = [*ids, uuid4()]
        found.append(await receipts.progress(asked, timeout_seconds=LIMIT_SECONDS, producer=producer))

    with_receipts(database_url, work)
    return found[0]


def received(
    database_url: str, cashback_id: int, *, age_seconds: float, producer: str | None = None
) -> VerifiedEvent:
    """Record an event as the receiver does, some time ago, that nobody has settled."""
    event = new_event(cashback_id, age_seconds=age_seconds)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT record_receipt(%s, %s, %s, %s, 25, 30, 3, %s)",
            (event.event_id, event.token, event.cashback_id, event.received_at, producer),
        )
    return event


def test_what_a_worker_has_settled_or_looked_at_does_not_wait(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        add_user(connection, "ann")
    waits = [received(database_url, number, age_seconds=number) for number in (1, 2)]
    paid, cancelled = (received(database_url, number, age_seconds=1) for number in (3, 4))
    with pool_of(database_url) as pool:
        ledger = Ledger(pool, policy=policy(), timeout_seconds=LIMIT_SECONDS)
        ledger.settle(paid, payout(3, "ann", "1"))
        ledger.close(paid.event_id, State.EXPIRED)
        # Its payout is not here yet.
        assert ledger.settle(cancelled, cancel(4, "ann", "1")).code is None

    assert set(progress_of(database_url, [*waits, paid, cancelled]).settled) == {
        paid.event_id,
        cancelled.event_id,
    }


def test_the_age_is_that_of_the_oldest_but_for_a_few_that_may_be_stuck(database_url: str) -> None:
    # Given three that are stuck, one that cannot be settled in time any more, and two that wait,
    for number, ago_seconds in enumerate((24.0, 23.0, 22.0, 60.0, 9.0, 8.0)):
        received(database_url, number + 1, age_seconds=ago_seconds)

    age_seconds = progress_of(database_url, []).age_seconds

    assert age_seconds is not None
    with psycopg.connect(database_url) as connection:
        [(longer,)] = connection.execute(
            "SELECT clock_timestamp() - received_at FROM receipts WHERE cashback_id = 5"
        ).fetchall()
    assert timedelta(seconds=9) <= timedelta(seconds=age_seconds) <= longer


def test_no_more_than_a_few_are_no_backlog(database_url: str) -> None:
    for number in range(3):
        received(database_url, number + 1, age_seconds=20)

    assert progress_of(database_url, []).age_seconds is None


def test_how_long_a_partners_events_wait_says_nothing_of_our_own_or_of_another_one(database_url: str) -> None:
    for number in range(4):
        received(database_url, number + 1, age_seconds=20, producer="edge")
        received(database_url, number + 11, age_seconds=10)

    ages = {
        producer: progress_of(database_url, [], producer=producer).age_seconds
        for producer in (OWN_PRODUCER, "edge", "mobile")
    }

    assert ages["mobile"] is None
    assert 10 <= (ages[OWN_PRODUCER] or 0) < (ages["edge"] or 0) - 9
