"""What PostgreSQL writes for one event: its log, its tables and their indexes.

No worker and no receiver runs: one session calls the SQL functions that they call. Groups of 16 events go
from receipt (`record_receipts`) through settlement (`settle_events`) to the mark that they were answered
(`mark_answered`, with the one accept that was sent), each call a transaction, each event a payout with a
token of the size of BETCORE's.

- **wal**: what the log grew by (`pg_current_wal_insert_lsn`). PostgreSQL writes a page whole when it is first
  changed after a checkpoint, which depends on how often there is one. So a checkpoint and a warm-up stand
  before what is measured, none falls into it (looked up afterwards), and the pages that are made in it are
  never written whole.
- **heap**, **index**: what all tables, and all indexes, grew by. Autovacuum is off: this is what has to be
  there before anything is used again.

The time is that of the session, waits for the disk included. The ratios are kilobytes per event.
"""

import json
import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final

import psycopg
from psycopg import sql

from cashback_client.contract import event_id_of
from tests.benchmarks.errors import BenchmarkFailed
from tests.benchmarks.measure import Table, interleave
from tests.benchmarks.rig import Rig
from tests.benchmarks.tokens import USERS
from tests.support.plans import LASTING_PLANS
from worker.domain.accepts import SentAccept
from worker.ledger.accepts import accepts_by_event

NAME: Final = "storage"
ROW: Final = "in groups of 16"
WAL: Final = "wal_bytes"
HEAP: Final = "heap_bytes"
INDEX: Final = "index_bytes"
_GROUP: Final = 16
_WARM_UP: Final = 2_000
_EVENTS: Final = 20_000
_QUICK_EVENTS: Final = 4_000
_TOKEN_CHARS: Final = 844
# So that a slow machine meets no cut-off.
_CUTOFF_SECONDS: Final = 3_000
_DEADLINE_SECONDS: Final = 3_600
_RECORD: Final = "SELECT count(*) FROM record_receipts(%s, %s, %s, %s, %s, %s, 3, NULL, %s, %s, %s)"
_SETTLE: Final = "SELECT count(*) FROM settle_events(%s, %s, %s, false) WHERE code = 200"
_MARK: Final = "SELECT mark_answered(%s, %s::json)"
_WORKER: Final = "cashback-worker-7d9f8b6c5-x2x4q:7"
_LOOK: Final = """
    SELECT
        pg_current_wal_insert_lsn() - '0/0',
        (SELECT sum(pg_table_size(oid)) FROM pg_class
            WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace),
        (SELECT sum(pg_relation_size(indexrelid)) FROM pg_index JOIN pg_class ON oid = indrelid
            WHERE relnamespace = 'public'::regnamespace),
        (SELECT num_timed + num_requested FROM pg_stat_checkpointer)
"""
_TABLES: Final = (
    "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
)


def measure(
    rig: Rig, *, rounds: int, quick: bool, say: Callable[[str], None]
) -> tuple[Table, dict[str, float]]:
    """Measure the one row; returns the table and its ratios. Raises BenchmarkFailed for work not done."""
    rows = {ROW: partial(_sample, rig, events=_QUICK_EVENTS if quick else _EVENTS)}
    table = interleave(NAME, "Storage: what one event writes", "event", rows, rounds=rounds, say=say)
    return table, ratios(table)


def ratios(table: Table) -> dict[str, float]:
    """Return what an event writes to the log and to tables, in kilobytes (1,000 bytes)."""
    return {
        "wal_kb_per_event": table.median(ROW, WAL) / 1000,
        "heap_kb_per_event": table.median(ROW, HEAP) / 1000,
    }


def _sample(rig: Rig, *, events: int) -> dict[str, float]:
    rig.reset()
    return written_per_event(rig.database_url, events=events)


def written_per_event(database_url: str, *, events: int) -> dict[str, float]:
    """Return what one event writes into this database, which nobody else may use meanwhile."""
    with psycopg.connect(
        database_url, autocommit=True, prepare_threshold=1, options=LASTING_PLANS
    ) as connection:
        for (name,) in connection.execute(_TABLES).fetchall():
            off = sql.SQL("ALTER TABLE {} SET (autovacuum_enabled = off)")
            connection.execute(off.format(sql.SQL(name)))
        connection.execute("CHECKPOINT")
        _run(connection, first=1, events=_WARM_UP)
        before, begun = _look(connection), time.perf_counter()
        _run(connection, first=_WARM_UP + 1, events=events)
        seconds, after = time.perf_counter() - begun, _look(connection)
    wal, heap, index, checkpoints = (one - other for one, other in zip(after, before, strict=True))
    if checkpoints:
        raise BenchmarkFailed("there was a checkpoint in what was measured: give max_wal_size more")
    return {
        WAL: wal / events,
        HEAP: heap / events,
        INDEX: index / events,
        "ms_per_event": 1000 * seconds / events,
    }


def _look(connection: psycopg.Connection) -> tuple[int, ...]:
    row = connection.execute(_LOOK).fetchone()
    return tuple(int(value) for value in row or ())


def _run(connection: psycopg.Connection, *, first: int, events: int) -> None:
    for group in _groups(first, events):
        ids = [event["event_id"] for event in group]
        received_ms = time.time_ns() // 1_000_000
        connection.execute(
            _RECORD,
            (
                ids,
                [event["token"] for event in group],
                [event["cashback_id"] for event in group],
                [received_ms] * len(group),
                _CUTOFF_SECONDS,
                _DEADLINE_SECONDS,
                [event["user_id"] for event in group],
                [event["transaction_type"] for event in group],
                [Decimal(event["amount"]) for event in group],
            ),
        )
        settled = connection.execute(
            _SETTLE, (json.dumps(group, default=str), _CUTOFF_SECONDS, _DEADLINE_SECONDS)
        ).fetchone()
        marked = connection.execute(_MARK, (ids, accepts_by_event([_accept()] for _ in ids))).fetchone()
        if settled != (len(group),) or marked != (len(group),):
            raise BenchmarkFailed(f"of {len(group)} events {settled} were credited and {marked} marked")


def _accept() -> SentAccept:
    """Return the accept of an event that was answered at once."""
    return SentAccept(
        sent_at=datetime.now(UTC),
        duration_ms=12,
        status=200,
        code=200,
        worker=_WORKER,
        detail="Success",
    )


def _groups(first: int, events: int) -> Iterator[list[dict[str, Any]]]:
    source = random.Random(first)  # noqa: S311 - tokens that nobody verifies
    for start in range(first, first + events, _GROUP):
        yield [_event(number, source) for number in range(start, min(start + _GROUP, first + events))]


def _event(number: int, source: random.Random) -> dict[str, Any]:
    token = source.randbytes(_TOKEN_CHARS // 2).hex()
    return {
        "event_id": event_id_of(token),
        "token": token,
        "cashback_id": number,
        "received_at": "infinity",
        "kind": "payout",
        "transaction_type": 1,
        "user_id": f"u-{number * 7919 % USERS}",
        "amount": "10.50",
        "tax": "0",
        "hold_seconds": 3,
    }
