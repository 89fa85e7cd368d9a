"""Many receipts in one statement, on a real PostgreSQL: what they share, and what they must not share."""

import asyncio

import psycopg
import pytest

from producer.copies.errors import CopyFailed
from producer.copies.receipts.recording import MAX_GROUP_SIZE, Receipts
from tests.support.futures import end_of
from tests.support.receipts import event, ids_in, recorded_together, with_receipts


def test_those_who_wait_share_a_transaction_up_to_the_limit(database_url: str) -> None:
    assert recorded_together(database_url, [event(number) for number in range(350)]) == [None] * 350

    with psycopg.connect(database_url) as connection:
        sizes = [
            row[0]
            for row in connection.execute("SELECT count(*) FROM receipts GROUP BY xmin::text").fetchall()
        ]
    assert sum(sizes) == 350
    assert max(sizes) == MAX_GROUP_SIZE
    assert len(sizes) == 4


@pytest.mark.parametrize("bad_id", [-1, 0, 2**63, 2**70])
def test_a_row_that_cannot_be_stored_fails_alone(database_url: str, bad_id: int) -> None:
    events = [event(number, cashback_id=bad_id if number == 7 else 1) for number in range(20)]

    outcomes = recorded_together(database_url, events)

    assert isinstance(outcomes.pop(7), Exception)
    assert outcomes == [None] * 19
    assert ids_in(database_url) == {each.event_id for each in events} - {events[7].event_id}


def test_a_refused_row_is_a_failed_copy_that_says_why(database_url: str) -> None:
    _, bad = recorded_together(database_url, [event(1), event(2, cashback_id=-1)])

    assert isinstance(bad, CopyFailed)
    assert "CheckViolation" in str(bad)


def test_a_token_that_comes_several_times_at_once_is_recorded_once(database_url: str) -> None:
    events = [event(number % 5) for number in range(50)]

    for _ in range(2):
        assert recorded_together(database_url, events) == [None] * 50

    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM receipts").fetchone() == (5,)
    assert ids_in(database_url) == {each.event_id for each in events}


def test_of_a_token_that_comes_twice_at_once_the_earlier_receipt_counts(database_url: str) -> None:
    late, early = event(1), event(1, ahead_seconds=-3)

    recorded_together(database_url, [late, early])

    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT extract(epoch FROM received_at) * 1000 FROM receipts").fetchone()
    assert row == (early.message.received_at_ms,)


def test_in_a_group_too_a_clock_that_runs_ahead_gains_no_time(database_url: str) -> None:
    recorded_together(database_url, [event(1), event(2, ahead_seconds=3600), event(3)])

    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT DISTINCT received_at <= clock_timestamp(), "
            "extract(epoch FROM deadline_at - received_at), "
            "extract(epoch FROM credit_cutoff_at - received_at), "
            "extract(epoch FROM next_attempt_at - received_at) FROM receipts"
        ).fetchall()
    assert rows == [(True, 30, 15, 3)]


def test_a_caller_that_goes_away_leaves_its_receipt_and_its_group_alone(database_url: str) -> None:
    events = [event(number) for number in range(20)]

    async def work(receipts: Receipts) -> None:
        futures = [end_of(receipts.record, each) for each in events]
        futures[7].cancel()
        rest = [future for future in futures if not future.cancelled()]
        assert await asyncio.gather(*rest) == [None] * 19

    with_receipts(database_url, work)

    assert ids_in(database_url) == {each.event_id for each in events}
