"""The oldest snapshot is measured, and named once it is too old."""

import psycopg
import pytest
from structlog.testing import capture_logs

from tests.support.books import pool_of
from worker.ledger.database import Database
from worker.metrics import Metrics
from worker.recovery.snapshots import SnapshotWatch

# Pools of one session: while a second one opens, it holds a snapshot itself.
GAUGE = "cashback_oldest_snapshot_seconds"


@pytest.mark.parametrize(
    ("warn_seconds", "is_named"), [(0.0, True), (3_600.0, False)], ids=["too old", "not yet"]
)
def test_who_holds_the_oldest_snapshot_is_measured_and_named_once_it_is_too_old(
    database_url: str, warn_seconds: float, *, is_named: bool
) -> None:
    metrics = Metrics()
    with (
        pool_of(database_url, size=1) as pool,
        psycopg.connect(database_url, application_name="a backup") as backup,
        psycopg.connect(database_url, application_name="younger") as younger,
    ):
        watch = SnapshotWatch(Database(pool, timeout_seconds=30), metrics, warn_seconds=warn_seconds)
        # Given two transactions that hold a snapshot,
        for session in (backup, younger):
            session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            session.execute("SELECT count(*) FROM receipts")

        with capture_logs() as logs:
            holder = watch.look()

        assert holder is not None
        assert (holder.pid, holder.name) == (backup.info.backend_pid, "a backup")
        assert metrics.registry.get_sample_value(GAUGE) == holder.seconds > 0
        named = [(line["event"], line["pid"], line["application_name"]) for line in logs]
        assert named == ([("old_snapshot", holder.pid, "a backup")] if is_named else [])

        backup.rollback()
        younger.rollback()
        assert watch.look() is None
        assert metrics.registry.get_sample_value(GAUGE) == 0


def test_a_session_that_only_stands_there_holds_nothing(database_url: str) -> None:
    with pool_of(database_url, size=1) as pool, psycopg.connect(database_url) as idle:
        # In a transaction, but without a snapshot between its statements, and nothing written.
        idle.execute("SELECT 1")

        watch = SnapshotWatch(Database(pool, timeout_seconds=30), Metrics(), warn_seconds=0)

        assert watch.look() is None
