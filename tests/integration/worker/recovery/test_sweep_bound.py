"""An open snapshot keeps all that was closed since in the indexes: a sweep begins behind it."""

from typing import Final

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from tests.support.books import add_user, new_event, payout, policy, pool_of
from tests.support.plans import LASTING_PLANS
from worker.domain.settlement import State
from worker.ledger.database import Database, DeadlineConnection
from worker.ledger.ledger import Ledger
from worker.recovery.overdue import Expired, OverdueReceipts

CLOSED: Final = 20_000
FEW_PAGES: Final = 100
SWEEPS = (
    "SELECT give_up_overdue(100)",
    "SELECT * FROM expire_overdue(100)",
    "SELECT * FROM claim_overdue(100, 60, 5, NULL, 25)",
)
# Events of an hour ago, as the functions would have left them: each was undecided and unanswered for a while.
RECEIVE = """
INSERT INTO receipts (event_id, cashback_id, received_at, credit_cutoff_at, deadline_at, next_attempt_at)
SELECT gen_random_uuid(), number, at, at + interval '25 s', at + interval '30 s', at + interval '3 s'
FROM generate_series(1, %s) AS number,
    LATERAL (SELECT now() - interval '1 hour' + number * interval '1 ms' AS at) AS moment
"""
SETTLE = "UPDATE receipts SET state = 'settled', code = 102145, settled_at = received_at"
ANSWER = "UPDATE receipts SET state = 'answered', closed_at = received_at"


def overdue_on(pool: ConnectionPool[DeadlineConnection]) -> OverdueReceipts:
    database = Database(pool, timeout_seconds=120)
    return OverdueReceipts(database, limit=10, hold_seconds=60, hurry_seconds=5, cutoff_seconds=600)


def pages_of(database_url: str, sweep: str) -> int:
    """Return how many pages a sweep looks at, on a session as the worker's are."""
    with psycopg.connect(database_url, options=LASTING_PLANS) as connection:
        # Once before it counts: the first call of a session reads the catalogue, too.
        connection.execute(sweep)
        row = connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sweep}".encode()).fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


def raised(connection: psycopg.Connection, *, margin_seconds: float = 60.0) -> None:
    connection.execute("SELECT raise_sweep_bound(%s)", (margin_seconds,))


@pytest.mark.parametrize("sweep", SWEEPS, ids=["give up", "expire", "claim"])
def test_what_was_closed_under_an_open_snapshot_costs_a_sweep_nothing(database_url: str, sweep: str) -> None:
    with (
        psycopg.connect(database_url, autocommit=True) as connection,
        psycopg.connect(database_url) as backup,
    ):
        # Given a backup whose snapshot is older than all that was received and answered since,
        backup.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        backup.execute("SELECT count(*) FROM receipts")
        connection.execute(RECEIVE, (CLOSED,))
        connection.execute(SETTLE)
        connection.execute(ANSWER)
        connection.execute("VACUUM ANALYZE receipts")
        without_bound = pages_of(database_url, sweep)

        raised(connection)

        # then a sweep reads nothing of it, once the bound was moved.
        assert pages_of(database_url, sweep) < FEW_PAGES < without_bound


def test_the_bound_stays_below_what_is_open(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection, pool_of(database_url) as pool:
        add_user(connection, "ann")
        overdue = overdue_on(pool)
        ledger = Ledger(pool, policy=policy(), timeout_seconds=30)
        # Given an undecided event from an hour ago, and one that is decided, its answer overdue since then,
        undecided = new_event(1, age_seconds=3_600)
        connection.execute(
            "SELECT record_receipt(%s, %s, 1, %s, 600, 900, 3)",
            (undecided.event_id, undecided.token, undecided.received_at),
        )
        raised(connection, margin_seconds=0)
        settled = new_event(2, age_seconds=3_600)
        ledger.settle(settled, payout(2, "ann", "1"))
        raised(connection, margin_seconds=0)

        # then both are found.
        assert overdue.give_up() == 1
        assert overdue.expire() == Expired(2, 0)


def test_what_another_session_is_still_writing_is_found_once_it_is_committed(database_url: str) -> None:
    with (
        psycopg.connect(database_url, autocommit=True) as connection,
        psycopg.connect(database_url) as slow,
    ):
        # Given a receipt that is written and not committed, with a cut-off right away,
        slow.execute("SELECT record_receipt(event_id_of('token'), 'token', 1, now(), 0.001, 0.002, 0.001)")
        connection.execute("SELECT pg_sleep(0.01)")
        raised(connection, margin_seconds=0)
        slow.commit()

        assert connection.execute(
            "SELECT bound <= (SELECT credit_cutoff_at FROM receipts) FROM sweep_bound"
        ).fetchone() == (True,)
        assert connection.execute("SELECT give_up_overdue(10)").fetchone() == (1,)


def test_a_bound_that_a_clock_ahead_has_left_hides_nothing_that_is_new(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE sweep_bound SET bound = now() + interval '1 day'")
        connection.execute(
            "SELECT record_receipt(event_id_of('token'), 'token', 1, now(), 0.001, 0.002, 0.001)"
        )
        connection.execute("SELECT pg_sleep(0.01)")

        assert connection.execute("SELECT give_up_overdue(10)").fetchone() == (1,)
        assert connection.execute("SELECT expired FROM expire_overdue(10)").fetchone() == (1,)


def test_what_came_into_being_below_the_bound_is_found_by_the_look_there(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        raised(connection)
        # Given a receipt of a receiver whose clock is an hour behind,
        connection.execute(
            "SELECT record_receipt(event_id_of('token'), 'token', 1, now() - interval '1 hour', 25, 30, 3)"
        )
        assert connection.execute("SELECT give_up_overdue(10)").fetchone() == (0,)

        connection.execute("SELECT lower_sweep_bound()")

        assert connection.execute("SELECT give_up_overdue(10)").fetchone() == (1,)
        assert connection.execute("SELECT expired FROM expire_overdue(10)").fetchone() == (1,)
        assert connection.execute("SELECT state FROM receipts").fetchall() == [(State.EXPIRED,)]


def test_whoever_cannot_move_the_bound_at_once_leaves_it(database_url: str) -> None:
    with (
        psycopg.connect(database_url, autocommit=True) as connection,
        psycopg.connect(database_url) as other,
    ):
        other.execute("SELECT FROM sweep_bound FOR UPDATE")

        raised(connection)
        connection.execute("SELECT lower_sweep_bound()")

        assert connection.execute("SELECT bound = '-infinity' FROM sweep_bound").fetchone() == (True,)


def test_on_a_database_that_has_seen_no_event_the_bound_can_be_moved(database_url: str) -> None:
    with pool_of(database_url) as pool:
        overdue = overdue_on(pool)

        overdue.look_below_bound()
        overdue.raise_bound()


def test_a_bound_that_a_clock_ahead_has_left_is_taken_back(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE sweep_bound SET bound = clock_timestamp() + interval '1 day'")

        connection.execute("SELECT raise_sweep_bound(60)")

        [(is_back,)] = connection.execute("SELECT bound < clock_timestamp() FROM sweep_bound").fetchall()
    assert is_back
