"""Commits that wait for a standby that is away: their backends stay, and only so many more are made."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from deploy.local.postgres import PostgresServer
from deploy.local.processes import wait_until
from tests.support.books import add_user, new_event, payout, policy, pool_of
from worker.errors import LedgerUnavailable
from worker.ledger.ledger import Ledger, VerifiedEvent
from worker.schema.migrate import migrate

SIZE = 4
CALL_SECONDS = 0.3
# Several times as many calls as there are places.
ROUNDS = 8
BACKENDS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'cashback-worker'"


@pytest.fixture
def server(own_directory: Path) -> Iterator[PostgresServer]:
    """Give a PostgreSQL of the test's own, as its settings are changed."""
    server = PostgresServer(own_directory)
    try:
        server.start()
        migrate(server.url)
        yield server
    finally:
        server.stop()


@contextmanager
def operator(server: PostgresServer) -> Iterator[psycopg.Connection]:
    with psycopg.connect(server.url, autocommit=True, options="-c synchronous_commit=local") as connection:
        yield connection


def wait_for_standbys(connection: psycopg.Connection, names: str) -> None:
    """Have commits wait for these standbys; none of them is there."""
    connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
    connection.execute("SELECT pg_reload_conf()")
    wait_until(
        lambda: connection.execute("SHOW synchronous_standby_names").fetchone() == (names,),
        what="the configuration is loaded",
        timeout_seconds=120,
    )


def backends(connection: psycopg.Connection) -> int:
    row = connection.execute(BACKENDS).fetchone()
    assert row is not None
    return int(row[0])


def settle_in_vain(ledger: Ledger, first: int) -> None:
    for number in range(ROUNDS):
        cashback_id = first + number
        with pytest.raises(LedgerUnavailable):
            ledger.settle(new_event(cashback_id), payout(cashback_id, f"u{first}", "1"))


def test_backends_stay_within_the_pools_size_while_a_synchronous_standby_is_away(
    server: PostgresServer,
) -> None:
    with operator(server) as connection, pool_of(server.url, size=SIZE) as pool:
        for number in range(SIZE):
            add_user(connection, f"u{100 * (number + 1)}")
        ledger = Ledger(pool, policy=policy(), timeout_seconds=CALL_SECONDS)
        wait_for_standbys(connection, "nobody")

        threads = [
            threading.Thread(target=settle_in_vain, args=(ledger, 100 * (number + 1)))
            for number in range(SIZE)
        ]
        for thread in threads:
            thread.start()
        most = 0
        while any(thread.is_alive() for thread in threads):
            most = max(most, backends(connection))
            threads[0].join(0.01)
        most = max(most, backends(connection))

        # One more, for a moment: it looks what still runs.
        assert SIZE <= most <= SIZE + 1


def test_nothing_is_cancelled_and_the_standbys_return_brings_the_connections_back(
    server: PostgresServer,
) -> None:
    with operator(server) as connection, pool_of(server.url, size=2) as pool:
        add_user(connection, "u100")
        ledger = Ledger(pool, policy=policy(), timeout_seconds=CALL_SECONDS)
        wait_for_standbys(connection, "nobody")
        settle_in_vain(ledger, 100)
        # Committed here and not confirmed: nobody may see it yet, and BETCORE was told nothing.
        assert connection.execute("SELECT count(*) FROM transactions WHERE cashback_id > 0").fetchone() == (
            0,
        )

        wait_for_standbys(connection, "")

        event = new_event(500)
        wait_until(
            lambda: _settles(ledger, event),
            what="the pool has connections again",
            timeout_seconds=120,
        )
        assert backends(connection) <= 2
        row = connection.execute(
            "SELECT count(*), min(balance_minor) FROM transactions, accounts"
            " WHERE cashback_id > 0 AND user_id = 'u100'"
        ).fetchone()
        assert row is not None
        # Each credit that had reached the server stands once, and so does the last one.
        assert row[1] == 100 * row[0]


def _settles(ledger: Ledger, event: VerifiedEvent) -> bool:
    try:
        return ledger.settle(event, payout(500, "u100", "1")).code == 200
    except LedgerUnavailable:
        return False
