"""Retention: what has ended well goes after its time; everything else stays."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from structlog.testing import capture_logs

from tests.support.books import add_user, balances, new_event, payout, policy, pool_of
from worker.domain.settlement import State
from worker.ledger.database import Database
from worker.ledger.ledger import Ledger, VerifiedEvent
from worker.quarantine.writer import QuarantineStore
from worker.recovery.retention import Keep, Retention

DAY_SECONDS = 86_400.0
KEEP = Keep(
    receipts_seconds=30 * DAY_SECONDS,
    tokens_seconds=10 * DAY_SECONDS,
    quarantine_seconds=DAY_SECONDS,
    quarantine_rows=10,
)


@contextmanager
def books(database_url: str) -> Iterator[tuple[Ledger, Retention, list[float]]]:
    """Open a ledger and its retention, and the clock, a list of one number, that the retention looks at."""
    now = [0.0]
    with psycopg.connect(database_url, autocommit=True) as connection:
        add_user(connection, "ann")
    with pool_of(database_url) as pool:
        database = Database(pool, timeout_seconds=30)
        retention = Retention(database, QuarantineStore(database), keep=KEEP, monotonic=lambda: now[0])
        yield Ledger(pool, policy=policy(), timeout_seconds=30), retention, now


def settled(ledger: Ledger, cashback_id: int, *, age_days: float) -> VerifiedEvent:
    event = new_event(cashback_id, age_seconds=age_days * DAY_SECONDS)
    ledger.settle(event, payout(cashback_id, "ann", "1"))
    return event


def kept(database_url: str) -> set[int]:
    with psycopg.connect(database_url) as connection:
        return {row[0] for row in connection.execute("SELECT cashback_id FROM receipts")}


def left_after_pruning(retention: Retention, database_url: str) -> int:
    retention.prune()
    return len(kept(database_url))


def test_only_answered_receipts_that_are_old_enough_go(database_url: str) -> None:
    with books(database_url) as (ledger, retention, _):
        # Given an old and a young answered event,
        ledger.mark_answered([settled(ledger, 1, age_days=31).event_id])
        ledger.mark_answered([settled(ledger, 2, age_days=29).event_id])
        # old ones that ended badly, and one that never ended,
        ledger.close(settled(ledger, 3, age_days=300).event_id, State.EXPIRED)
        ledger.close(settled(ledger, 4, age_days=300).event_id, State.REFUSED)
        settled(ledger, 5, age_days=300)

        # then one receipt goes, and with the first weeks the tokens of answered events.
        assert retention.prune() >= 1

    assert kept(database_url) == {2, 3, 4, 5}


def test_a_pruned_cashback_is_still_paid_only_once(database_url: str) -> None:
    with books(database_url) as (ledger, _, _), psycopg.connect(database_url, autocommit=True) as connection:
        first = new_event(7)
        ledger.settle(first, payout(7, "ann", "1"))
        ledger.mark_answered([first.event_id])
        # Every receipt is old for a retention of no time at all.
        assert connection.execute("SELECT prune_receipts(-1, 100)").fetchone() == (1,)

        again = ledger.settle(first, payout(7, "ann", "1"))

        other = ledger.settle(new_event(7), payout(7, "ann", "1"))
        (balance,) = balances(connection, "ann").values()

    # Its own event hears that it was credited, another one that it was credited before; ann has one euro.
    assert (again.code, other.code, balance) == (200, 103804, 100)
    assert again.transaction == other.transaction


def test_a_pruned_event_that_is_run_again_long_after_its_cutoff_still_hears_the_truth(
    database_url: str,
) -> None:
    with books(database_url) as (ledger, _, _), psycopg.connect(database_url, autocommit=True) as connection:
        event = new_event(7)
        ledger.settle(event, payout(7, "ann", "1"))
        ledger.mark_answered([event.event_id])
        connection.execute("SELECT prune_receipts(-1, 100)")

        late = replace(event, received_at=event.received_at - timedelta(days=1))

        assert ledger.settle(late, payout(7, "ann", "1")).code == 200


def test_a_full_batch_is_followed_at_once_and_an_empty_one_after_a_pause(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.recovery.retention._LIMIT", 2)
    with books(database_url) as (ledger, retention, now):
        ledger.mark_answered([settled(ledger, number, age_days=31).event_id for number in range(1, 4)])

        assert [left_after_pruning(retention, database_url) for _ in range(3)] == [1, 0, 0]

        ledger.mark_answered([settled(ledger, 9, age_days=31).event_id])
        assert left_after_pruning(retention, database_url) == 1
        now[0] += 3_600
        assert left_after_pruning(retention, database_url) == 0


def test_a_kind_that_cannot_be_pruned_holds_up_no_other_and_waits_for_its_next_time(
    database_url: str,
) -> None:
    with books(database_url) as (ledger, retention, now):
        ledger.mark_answered([settled(ledger, 1, age_days=31).event_id])
        with psycopg.connect(database_url, autocommit=True) as connection:
            # Given receipts that cannot be deleted, and a message that is old,
            connection.execute("ALTER FUNCTION prune_receipts RENAME TO prune_receipts_away")
            connection.execute(
                "INSERT INTO quarantine (digest, reason, detail, queue, headers, message, message_bytes,"
                " last_seen_at)"
                " VALUES (sha256('x'), 'unreadable', '', 'cashback', '{}', 'x', 1, '2026-01-01Z')"
            )

            with capture_logs() as logs:
                retention.prune()
                retention.prune()

            # then the message goes, and the failure is told once.
            assert connection.execute("SELECT count(*) FROM quarantine").fetchone() == (0,)
            assert [line["kind"] for line in logs if line["event"] == "prune_failed"] == ["receipts"]
            connection.execute("ALTER FUNCTION prune_receipts_away RENAME TO prune_receipts")
        now[0] += 3_600
        assert left_after_pruning(retention, database_url) == 0
