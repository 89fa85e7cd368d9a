"""What recurring statements read: what they need, of many receipts, whatever PostgreSQL knows of the tables.

Held by the buffers that are read, not by time. With PLANS_ROWS=2000000 it is the same for two million.
"""

import os
from typing import Final

import psycopg
import pytest

from tests.support.plans import LASTING_PLANS

ROWS: Final = int(os.environ.get("PLANS_ROWS", "100000"))
# To read all of 100,000 receipts takes far more.
FEW_BUFFERS: Final = 300
STATEMENTS: Final = {
    "give up": "SELECT give_up_overdue(100)",
    "expire": "SELECT * FROM expire_overdue(100)",
    "claim": "SELECT * FROM claim_overdue(100, 60, 5, clock_timestamp() - interval '2 days', 600)",
    "when the head was received": "SELECT received_first(ARRAY[md5('waiting 1')::uuid, md5('no')::uuid])",
    "prune receipts": "SELECT prune_receipts(15552000, 500)",
    "prune tokens": "SELECT * FROM prune_tokens(2592000, 500)",
    "prune quarantine": "SELECT prune_quarantine(2592000, 20000, 500)",
    "move the bound": "SELECT raise_sweep_bound(60)",
    "progress": "SELECT * FROM progress_of(ARRAY[md5('answered 1')::uuid, md5('waiting 1')::uuid], 3)",
    "record": (
        "SELECT * FROM record_receipts(ARRAY[gen_random_uuid()], '{t}', '{1}',"
        " ARRAY[(extract(epoch FROM clock_timestamp()) * 1000)::bigint], 25, 30, 3)"
    ),
    "mark": "SELECT mark_answered(ARRAY[md5('answered 1')::uuid])",
    "settle": (
        "SELECT * FROM settle_event(gen_random_uuid(), 't', 1, clock_timestamp(), 25, 30, 3, 'payout', 1,"
        " 'ann', 1, 0, false, true, true)"
    ),
}
RECEIPTS: Final = (
    "INSERT INTO receipts (event_id, cashback_id, received_at, credit_cutoff_at, deadline_at,"
    " next_attempt_at, state, code, settled_at, closed_at)"
)
ANSWERED: Final = (
    " SELECT md5('answered ' || number)::uuid, number, moment, moment + interval '25 seconds',"
    " moment + interval '30 seconds', moment, 'answered', 102145, moment, moment"
    " FROM generate_series(1, %(rows)s) AS number,"
    " LATERAL (SELECT now() - interval '1 hour' - number * interval '1 second' AS moment) AS at"
)
WAITING: Final = (
    " SELECT md5('waiting ' || number)::uuid, number, moment, moment + interval '1 day',"
    " moment + interval '2 days', moment + interval '1 day', 'received', NULL, NULL, NULL"
    " FROM generate_series(1, %(rows)s) AS number,"
    " LATERAL (SELECT now() - number * interval '1 millisecond' AS moment) AS at"
)
QUARANTINED: Final = (
    "INSERT INTO quarantine (digest, reason, detail, queue, headers, message, message_bytes)"
    " SELECT sha256(number::text::bytea), 'bad_message', '', 'cashback', '{}', '', 0"
    " FROM generate_series(1, least(%(rows)s, 10000)) AS number"
)


def fill(connection: psycopg.Connection) -> None:
    """Make receipts that were answered within the last days, as many that wait, and quarantined messages."""
    # Past the guard, for speed.
    connection.execute("ALTER TABLE receipts DISABLE TRIGGER receipts_guard")
    for statement in (RECEIPTS + ANSWERED, RECEIPTS + WAITING, QUARANTINED):
        connection.execute(statement, {"rows": ROWS})
    connection.execute("ALTER TABLE receipts ENABLE TRIGGER receipts_guard")


@pytest.mark.parametrize("statistics", ["none", "fresh", "stale"])
def test_a_recurring_statement_reads_few_buffers_of_many_receipts(database_url: str, statistics: str) -> None:
    # Given many receipts, none of them overdue or too old, and autovacuum that comes to no help,
    with psycopg.connect(database_url, autocommit=True) as connection:
        for table in ("receipts", "quarantine"):
            connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
        if statistics == "stale":
            connection.execute("ANALYZE")
        fill(connection)
        if statistics == "fresh":
            connection.execute("ANALYZE")

    # When each statement runs in a session as a worker's,
    read = {}
    with psycopg.connect(database_url, options=LASTING_PLANS, autocommit=True) as connection:
        for name, statement in STATEMENTS.items():
            # The first run reads the catalog, too.
            connection.execute(statement)
            row = connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}").fetchone()
            assert row is not None
            plan = row[0][0]["Plan"]
            read[name] = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]

    print(f"{statistics}: {read}")  # noqa: T201 - for whoever runs it by hand, with -s
    # Then it reads few buffers.
    assert {name: buffers for name, buffers in read.items() if buffers > FEW_BUFFERS} == {}
