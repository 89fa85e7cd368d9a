"""A session that refuses writes is of no use: it goes, and of several servers the primary is found."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from deploy.local.postgres import PostgresServer
from deploy.local.processes import wait_until
from producer.copies.errors import CopyFailed
from producer.copies.receipts.recording import Receipts
from tests.support import command
from tests.support.books import add_user, new_event, payout, policy, pool_of
from tests.support.futures import end_of
from tests.support.receipts import event, ids_in, with_receipts
from tests.support.synchronous import backends, migrated_server
from tests.support.writes import take_writes
from worker.errors import LedgerUnavailable
from worker.ledger.database import DeadlineConnection
from worker.ledger.ledger import Ledger

SIZE = 3
LIMIT_SECONDS = 120.0
# So long that a connection that stands is had within it, and so short that nobody waits for one in vain.
CALL_SECONDS = 2.0


@pytest.fixture(scope="module")
def primary(server_directory: Path) -> Iterator[PostgresServer]:
    with migrated_server(server_directory / "primary") as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            add_user(connection, "ann")
        yield server


@pytest.fixture
def operator(primary: PostgresServer) -> Iterator[psycopg.Connection]:
    with psycopg.connect(primary.url, autocommit=True) as connection:
        yield connection
        take_writes(connection, are_taken=True)


def hold_all(pool: ConnectionPool[DeadlineConnection]) -> set[int]:
    """Have all connections of the pool made; return their backends."""
    with ExitStack() as held:
        return {held.enter_context(pool.connection()).info.backend_pid for _ in range(SIZE)}


def test_the_worker_throws_away_what_refuses_writes(
    primary: PostgresServer, operator: psycopg.Connection
) -> None:
    with pool_of(primary.url, size=SIZE) as pool:
        ledger = Ledger(pool, policy=policy(), timeout_seconds=CALL_SECONDS)
        before = hold_all(pool)

        take_writes(operator, are_taken=False)
        for number in range(SIZE):
            with pytest.raises(LedgerUnavailable):
                ledger.settle(new_event(number + 1), payout(number + 1, "ann", "1"))

        # None of them may wait for the next event, and none that refuses writes may take its place.
        wait_until(
            lambda: backends(operator, "cashback-worker") == 0,
            what="no connection is left",
            timeout_seconds=LIMIT_SECONDS,
        )

        take_writes(operator, are_taken=True)
        wait_until(lambda: settles(ledger), what="there are connections again", timeout_seconds=LIMIT_SECONDS)
        assert hold_all(pool).isdisjoint(before)


def settles(ledger: Ledger) -> bool:
    try:
        return ledger.settle(new_event(100, token="again"), payout(100, "ann", "1")).code == 200
    except LedgerUnavailable:
        return False


def test_the_receiver_is_away_from_a_server_that_refuses_writes(
    primary: PostgresServer, operator: psycopg.Connection
) -> None:
    async def work(receipts: Receipts) -> None:
        await end_of(receipts.record, event(1))

        take_writes(operator, are_taken=False)
        # Ready means that a receipt could be made, also on a connection that stands.
        with pytest.raises(CopyFailed) as refused:
            await receipts.check(timeout_seconds=LIMIT_SECONDS)
        assert refused.value.shows_away
        with pytest.raises(CopyFailed) as failed:
            await end_of(receipts.record, event(2))
        assert failed.value.shows_away

        take_writes(operator, are_taken=True)
        while True:
            try:
                await end_of(receipts.record, event(3))
                break
            except CopyFailed:
                await asyncio.sleep(0.1)

    with_receipts(primary.url, work, timeout_seconds=CALL_SECONDS, pool_size=SIZE)

    assert {event(1).event_id, event(3).event_id} <= ids_in(primary.url)


def test_an_operator_is_told_of_a_server_that_refuses_writes(
    primary: PostgresServer, operator: psycopg.Connection
) -> None:
    take_writes(operator, are_taken=False)
    accounts = b"user_id,currency,status,balance\nbob,EUR,active,1\n"
    done = command.run("accounts", "import", "-", stdin=accounts, database_url=primary.url)
    shown = command.run("accounts", "show", "ann", "--json", database_url=primary.url)

    assert done.exit_code == 1
    assert done.stderr.strip() == (
        "Error: PostgreSQL takes no writes here: it is a standby, or default_transaction_read_only is on; "
        "name the primary in CASHBACK_DATABASE_URL"
    )
    # Who only looks may look.
    assert shown.document["user_id"] == "ann"


def test_of_several_servers_the_one_that_takes_writes_is_found(
    primary: PostgresServer, server_directory: Path
) -> None:
    other = PostgresServer(server_directory / "other")
    try:
        with psycopg.connect(other.start().url, autocommit=True) as connection:
            take_writes(connection, are_taken=False)
        url = f"postgresql://postgres@127.0.0.1:{other.port},127.0.0.1:{primary.port}/cashback"

        async def work(receipts: Receipts) -> None:
            await end_of(receipts.record, event(4))

        with_receipts(url, work, timeout_seconds=LIMIT_SECONDS)
        with pool_of(url) as pool:
            ledger = Ledger(pool, policy=policy(), timeout_seconds=LIMIT_SECONDS)
            assert ledger.settle(new_event(200), payout(200, "ann", "1")).code == 200
        accounts = b"user_id,currency,status,balance\ncarl,EUR,active,1\n"
        done = command.run("accounts", "import", "-", stdin=accounts, database_url=url)
        assert (done.exit_code, done.stderr) == (0, "")
    finally:
        other.stop()

    assert event(4).event_id in ids_in(primary.url)
