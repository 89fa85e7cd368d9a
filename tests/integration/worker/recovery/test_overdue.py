"""Overdue events are given up, expired, or claimed to be sent on, by one worker each."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg

from tests.support.books import add_user, new_event, payout, policy, pool_of
from worker.ledger.database import Database
from worker.ledger.ledger import Ledger, VerifiedEvent
from worker.ledger.wholeness import Wholeness
from worker.metrics import Metrics
from worker.recovery.overdue import Expired, OverdueReceipts
from worker.recovery.snapshots import SnapshotWatch
from worker.recovery.standbys import Standbys
from worker.recovery.upkeep import upkeep_jobs

CUTOFF_SECONDS = 600.0
DEADLINE_SECONDS = 900.0


@dataclass
class Books:
    """A ledger, what is overdue in it, and a view past both."""

    ledger: Ledger
    overdue: OverdueReceipts
    connection: psycopg.Connection
    database: Database

    def received(self, cashback_id: int, *, age_seconds: float, overdue: bool = True) -> VerifiedEvent:
        """Record a receipt as the receiver does, overdue or not."""
        event = new_event(cashback_id, age_seconds=age_seconds)
        self.connection.execute(
            "SELECT record_receipt(%s, %s, %s, %s, %s, %s, %s)",
            (
                event.event_id,
                event.token,
                cashback_id,
                event.received_at,
                CUTOFF_SECONDS,
                DEADLINE_SECONDS,
                age_seconds - 1 if overdue else age_seconds + 100,
            ),
        )
        return event

    def state(self, event: VerifiedEvent) -> tuple[str, int | None, bool]:
        row = self.connection.execute(
            "SELECT state, code, unconfirmed FROM receipts WHERE event_id = %s", (event.event_id,)
        ).fetchone()
        assert row is not None
        return row[0], row[1], row[2]

    def counted_unconfirmed(self) -> float | None:
        """Have the job of a worker count the unconfirmed ones, and return what its metric says then."""
        metrics = Metrics()
        snapshots = SnapshotWatch(self.database, metrics, warn_seconds=600)
        standbys = Standbys(self.database, metrics)
        wholeness = Wholeness(self.database, on_look=metrics.missing_parts.set)
        jobs = upkeep_jobs(self.overdue, snapshots, standbys, wholeness, metrics.unconfirmed)
        (job,) = (job for job in jobs if job.name == "count_unconfirmed")
        job.run()
        return metrics.registry.get_sample_value("cashback_unconfirmed_events")


@contextmanager
def books(database_url: str, *, limit: int = 100, hurry_seconds: float = 5.0) -> Iterator[Books]:
    with (
        psycopg.connect(database_url, autocommit=True) as connection,
        pool_of(database_url, size=4) as pool,
    ):
        add_user(connection, "ann")
        database = Database(pool, timeout_seconds=30)
        overdue = OverdueReceipts(
            database,
            limit=limit,
            hold_seconds=60.0,
            hurry_seconds=hurry_seconds,
            cutoff_seconds=CUTOFF_SECONDS,
        )
        yield Books(Ledger(pool, policy=policy(), timeout_seconds=30), overdue, connection, database)


def test_what_was_not_decided_by_its_cutoff_is_given_up(database_url: str) -> None:
    with books(database_url) as at:
        late = at.received(1, age_seconds=CUTOFF_SECONDS + 1)
        fresh = at.received(2, age_seconds=CUTOFF_SECONDS - 60)

        assert at.overdue.give_up() == 1

        assert at.state(late) == ("settled", 102823, False)
        assert at.state(fresh) == ("received", None, False)


def test_a_late_resubmission_of_a_paid_cashback_is_left_to_hear_that_it_was_paid(database_url: str) -> None:
    with books(database_url) as at:
        at.ledger.settle(new_event(1), payout(1, "ann", "10"))
        again = at.received(1, age_seconds=CUTOFF_SECONDS + 1)

        assert at.overdue.give_up() == 0
        assert [event.event_id for event in at.overdue.claim(lost_before=None)] == [again.event_id]

        assert at.ledger.settle(again, payout(1, "ann", "10")).code == 103804


def test_an_undecided_event_past_its_deadline_is_given_up_whatever_else_was_paid(database_url: str) -> None:
    with books(database_url) as at:
        at.ledger.settle(new_event(1), payout(1, "ann", "10"))
        again = at.received(1, age_seconds=DEADLINE_SECONDS + 1)

        assert at.overdue.give_up() == 1
        assert at.overdue.expire() == Expired(1, 0)

        assert at.state(again) == ("expired", 102823, False)


def test_what_nobody_acknowledged_by_its_deadline_expires_and_says_whether_money_moved(
    database_url: str,
) -> None:
    with books(database_url) as at:
        # Given a credit that was committed in time, and a deadline that has passed since,
        credited = at.received(1, age_seconds=1)
        at.ledger.settle(credited, payout(1, "ann", "10"))
        at.connection.execute("ALTER TABLE receipts DISABLE TRIGGER receipts_guard")
        at.connection.execute(
            "UPDATE receipts SET received_at = received_at - interval '1 day', "
            "credit_cutoff_at = credit_cutoff_at - interval '1 day', "
            "deadline_at = deadline_at - interval '1 day'"
        )
        at.connection.execute("ALTER TABLE receipts ENABLE TRIGGER receipts_guard")
        # and an event that was declined,
        declined = at.received(2, age_seconds=DEADLINE_SECONDS + 1)
        at.ledger.settle(declined, payout(2, "ann", "10"))

        assert at.overdue.expire() == Expired(2, 1)

        assert at.state(credited) == ("expired", 200, True)
        assert at.state(declined) == ("expired", 102823, False)
        assert at.counted_unconfirmed() == 1

        at.ledger.mark_answered([credited.event_id])

        assert at.counted_unconfirmed() == 0


def test_an_overdue_event_is_claimed_once_however_many_ask(database_url: str) -> None:
    with books(database_url) as at, ThreadPoolExecutor(4) as threads:
        expected = {at.received(number, age_seconds=10).event_id for number in range(1, 41)}
        gate = threading.Barrier(4)

        def claim() -> list[object]:
            gate.wait()
            return [event.event_id for event in at.overdue.claim(lost_before=None)]

        claimed = [
            event_id for future in [threads.submit(claim) for _ in range(4)] for event_id in future.result()
        ]

        assert len(claimed) == len(expected)
        assert set(claimed) == expected


def test_an_event_that_is_not_overdue_or_has_ended_is_not_claimed(database_url: str) -> None:
    with books(database_url) as at:
        at.received(1, age_seconds=10, overdue=False)
        ended = at.received(2, age_seconds=10)
        at.ledger.settle(ended, payout(2, "ann", "10"))
        at.ledger.mark_answered([ended.event_id])
        at.received(3, age_seconds=DEADLINE_SECONDS + 1)

        assert at.overdue.claim(lost_before=None) == []


def test_in_a_backlog_only_what_is_older_than_the_head_of_the_queue_is_claimed(database_url: str) -> None:
    with books(database_url) as at:
        lost = at.received(1, age_seconds=100)
        waiting = at.received(2, age_seconds=20)
        hurried = at.received(3, age_seconds=CUTOFF_SECONDS - 2)
        head = datetime.now(UTC) - timedelta(seconds=50)

        claimed = {event.event_id for event in at.overdue.claim(lost_before=head)}

        assert claimed == {lost.event_id, hurried.event_id}
        # A second look finds neither of them overdue again, and the waiting one still left to the queue.
        assert at.overdue.claim(lost_before=head) == []
        assert {event.event_id for event in at.overdue.claim(lost_before=None)} == {waiting.event_id}


def test_a_claimed_event_carries_what_a_message_carries(database_url: str) -> None:
    with books(database_url) as at:
        event = at.received(1, age_seconds=10)

        (claimed,) = at.overdue.claim(lost_before=None)

        assert (claimed.event_id, claimed.token, claimed.received_at) == (
            event.event_id,
            event.token,
            event.received_at,
        )
