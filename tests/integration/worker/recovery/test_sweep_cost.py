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


HEAD = "clock_timestamp() - interval '2 minutes'"
CLAIM_BESIDE_PARTNERS = (
    "SELECT * FROM claim_overdue(100, 60, 5, {own}, 600, '{{edge,idle}}', ARRAY[{edge}, NULL])"
)


def fill(connection: psycopg.Connection, *, settled: bool, producer: str | None = None) -> None:
    """Make a backlog of events that are late and have time, undecided or waiting for their next attempt."""
    next_attempt = "5 minutes" if settled else "3 seconds"
    connection.execute(
        "INSERT INTO receipts (event_id, cashback_id, received_at, credit_cutoff_at, deadline_at,"
        " next_attempt_at, producer) SELECT gen_random_uuid(), number, moment,"
        " moment + interval '10 minutes', moment + interval '15 minutes', moment + %s::interval, %s"
        " FROM generate_series(1, %s) AS number, (SELECT now() - interval '1 minute' AS moment) AS at",
        (next_attempt, producer, BACKLOG),
    )
    if settled:
        connection.execute("UPDATE receipts SET state = 'settled', code = 102145")
    connection.execute("ANALYZE receipts")


@pytest.mark.parametrize("settled", [False, True], ids=["undecided", "waiting for a retry"])
@pytest.mark.parametrize("sweep", SWEEPS, ids=["give up", "expire", "claim"])
def test_a_deep_backlog_costs_a_sweep_nothing(database_url: str, sweep: str, *, settled: bool) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        fill(connection, settled=settled)

    assert rows_read(database_url, sweep) < FEW_ROWS


@pytest.mark.parametrize(
    ("producer", "own", "edge"),
    [("edge", "NULL", HEAD), (None, HEAD, "NULL::timestamptz")],
    ids=["of a partner's", "of our own"],
)
def test_a_deep_backlog_of_one_producer_costs_nothing_where_nothing_waits_of_the_others(
    database_url: str, producer: str | None, own: str, edge: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        fill(connection, settled=False, producer=producer)

    assert rows_read(database_url, CLAIM_BESIDE_PARTNERS.format(own=own, edge=edge)) < FEW_ROWS


def rows_read(database_url: str, sweep: str) -> int:
    # A session of its own, as the worker's are: the counts of one hold what it did before, too.
    with psycopg.connect(database_url, options=LASTING_PLANS) as connection:
        connection.execute(sweep.encode())
        read = connection.execute(
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'receipts'"
        ).fetchone()
    assert read is not None
    return int(read[0])
