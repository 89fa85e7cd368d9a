"""A call of PostgreSQL ends with whatever bounds its thread, not only by its own time-out."""

import time

import pytest

from tests.support.books import pool_of
from worker.domain.deadline import Deadline
from worker.errors import LedgerUnavailable
from worker.ledger.database import Database
from worker.time_limit import ends_by

# What only the outer limit can end while the test runs.
SLEEP = "SELECT pg_sleep(%s)"


def test_a_call_inside_a_shorter_limit_ends_by_that(database_url: str) -> None:
    with pool_of(database_url, timeout_seconds=3_600.0) as pool:
        database = Database(pool, timeout_seconds=3_600.0)
        with ends_by(Deadline(time.monotonic() + 1.0)), pytest.raises(LedgerUnavailable):
            database.rows(SLEEP, (3_600,))

        # The limit is gone with its block, and so is the connection whose state nobody knows.
        assert database.rows("SELECT 1", ()) == [(1,)]
