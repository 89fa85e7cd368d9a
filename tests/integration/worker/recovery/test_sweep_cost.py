"""What a sweep costs: as much as is overdue, however much waits in the queue."""

import psycopg
import pytest

from tests.support.plans import LASTING_PLANS

BACKLOG = 5_000
FEW_ROWS = 100
SWEEPS = (
    "SELECT give_up_overdue(100)",
    "SELECT * FROM expire_overdue(100)",
    # Its backlog was received a minute ago, and the head of the queue before that.
    "SELECT * FROM claim_overdue(100, 60, 5, clock_timestamp() - interval '2 minutes', 600)",
)


def fill(connection: psycopg.Connection, *, settled: bool) -> None:
    """Make a backlog of events that are late and have time, undecided or waiting for their next attempt."""
    next_attempt = "5 minutes" if settled else "3 seconds"
    connection.execute(
        "INSERT INTO receipts (event_id, cashback_id, received_at, credit_cutoff_at, deadline_at,"
        " next_attempt_at) SELECT gen_random_uuid(), number, moment, moment + interval '10 minutes',"
        " moment + interval '15 minutes', moment + %s::interval"
        " FROM generate_series(1, %s) AS number, (SELECT now() - interval '1 minute' AS moment) AS at",
        (next_attempt, BACKLOG),
    )
    if settled:
        connection.execute("UPDATE receipts SET state = 'settled', code = 102145")
    connection.execute("ANALYZE receipts")


@pytest.mark.parametrize("settled", [False, True], ids=["undecided", "waiting for a retry"])
@pytest.mark.parametrize("sweep", SWEEPS, ids=["give up", "expire", "claim"])
def test_a_deep_backlog_costs_a_sweep_nothing(database_url: str, sweep: str, *, settled: bool) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        fill(connection, settled=settled)

    # A session of its own, as the worker's are: the counts of one hold what it did before, too.
    with psycopg.connect(database_url, options=LASTING_PLANS) as connection:
        connection.execute(sweep)
        read = connection.execute(
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'receipts'"
        ).fetchone()

    assert read is not None
    assert read[0] < FEW_ROWS
