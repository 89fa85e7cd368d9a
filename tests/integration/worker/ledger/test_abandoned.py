"""Commits that wait for a standby that is away: their backends stay, and only so many more are made."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.postgres import PostgresServer
from deploy.local.processes import wait_until
from tests.support.books import add_user, new_event, payout, policy, pool_of
from tests.support.synchronous import backends, migrated_server, operator_on, wait_for_standby
from worker.errors import LedgerUnavailable
from worker.ledger.ledger import Ledger, VerifiedEvent

SIZE = 4
CALL_SECONDS = 0.3
# Several times as many calls as there are places.
ROUNDS = 8
APPLICATION = "cashback-worker"


@pytest.fixture
def server(own_directory: Path) -> Iterator[PostgresServer]:
    with migrated_server(own_directory) as server:
        yield server


def settle_in_vain(ledger: Ledger, first: int) -> None:
    for number in range(ROUNDS):
        cashback_id = first + number
        with pytest.raises(LedgerUnavailable):
            ledger.settle(new_event(cashback_id), payout(cashback_id, f"u{first}", "1"))


def test_backends_stay_within_the_pools_size_while_a_synchronous_standby_is_away(
    server: PostgresServer,
) -> None:
    with operator_on(server) as connection, pool_of(server.url, size=SIZE) as pool:
        for number in range(SIZE):
            add_user(connection, f"u{100 * (number + 1)}")
        ledger = Ledger(pool, policy=policy(), timeout_seconds=CALL_SECONDS)
        wait_for_standby(connection, "nobody")

        threads = [
            threading.Thread(target=settle_in_vain, args=(ledger, 100 * (number + 1)))
            for number in range(SIZE)
        ]
        for thread in threads:
            thread.start()
        most = 0
        while any(thread.is_alive() for thread in threads):
            most = max(most, backends(connection, APPLICATION))
            threads[0].join(0.01)
        most = max(most, backends(connection, APPLICATION))

        # One more, for a moment: it looks what still runs.
        assert SIZE <= most <= SIZE + 1


def test_nothing_is_cancelled_and_the_standbys_return_brings_the_connections_back(
    server: PostgresServer,
) -> None:
    with operator_on(server) as connection, pool_of(server.url, size=2) as pool:
        add_user(connection, "u100")
        ledger = Ledger(pool, policy=policy(), timeout_seconds=CALL_SECONDS)
        wait_for_standby(connection, "nobody")
        settle_in_vain(ledger, 100)
        # Committed here and not confirmed: nobody may see it yet, and BETCORE was told nothing.
        assert connection.execute("SELECT count(*) FROM transactions WHERE cashback_id > 0").fetchone() == (
            0,
        )

        wait_for_standby(connection, "")

        event = new_event(500)
        wait_until(
            lambda: _settles(ledger, event),
            what="the pool has connections again",
            timeout_seconds=120,
        )
        assert backends(connection, APPLICATION) <= 2
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
