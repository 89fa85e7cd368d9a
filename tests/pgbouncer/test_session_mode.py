"""The service behind PgBouncer in session mode, with its defaults: all of it works."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from deploy.local.postgres import PostgresServer
from deploy.local.processes import wait_until
from producer.copies.receipts.recording import Receipts
from producer.shared.postgres.session import keeps_session_state, refuse_shared_sessions
from tests.support import command
from tests.support.books import new_event, payout, policy, pool_of
from tests.support.futures import end_of
from tests.support.pgbouncer import pgbouncer_of, url_through
from tests.support.receipts import event, ids_in, with_receipts
from worker.errors import LedgerUnavailable
from worker.ledger.database import Database
from worker.ledger.ledger import Ledger
from worker.recovery.overdue import OverdueReceipts

LIMIT_SECONDS = 120.0
ACCOUNTS = b"user_id,currency,status,balance\nann,EUR,active,1.50\n"


@pytest.fixture(scope="module")
def port(postgres_server: PostgresServer, server_directory: Path) -> Iterator[int]:
    with pgbouncer_of(postgres_server, server_directory / "pgbouncer") as port:
        yield port


@pytest.fixture
def url(database_url: str, port: int) -> str:
    """Give the URL of the test's own database, behind PgBouncer."""
    return url_through(port, str(conninfo_to_dict(database_url)["dbname"]))


def test_receipts_are_made_and_settled_and_an_operator_sees_them(url: str, database_url: str) -> None:
    imported = command.run("accounts", "import", "-", "--json", stdin=ACCOUNTS, database_url=url)
    assert imported.document == {"opened": 1, "updated": 0, "unchanged": 0}

    async def work(receipts: Receipts) -> None:
        for number in range(20):
            await end_of(receipts.record, event(number))
        await receipts.check(timeout_seconds=LIMIT_SECONDS)

    with_receipts(url, work, timeout_seconds=LIMIT_SECONDS)
    assert {event(number).event_id for number in range(20)} <= ids_in(database_url)

    with pool_of(url, size=4) as pool:
        ledger = Ledger(pool, policy=policy(), timeout_seconds=LIMIT_SECONDS)
        for number in range(1, 20):
            assert ledger.settle(new_event(number), payout(number, "ann", "1")).code == 200
        overdue = OverdueReceipts(
            Database(pool, timeout_seconds=LIMIT_SECONDS),
            limit=10,
            hold_seconds=60.0,
            hurry_seconds=5.0,
            cutoff_seconds=600.0,
        )
        overdue.claim(lost_before=None)

    shown = command.run("accounts", "show", "ann", "--json", database_url=url).document
    assert shown["balance"] == "20.50"
    assert command.run("migrate", database_url=url).exit_code == 0


def test_a_session_has_its_settings_and_leaves_none_behind(url: str) -> None:
    with pool_of(url) as pool, pool.connection() as connection:
        row = connection.execute("SELECT current_setting('enable_seqscan'), current_setting('timezone')")
        assert row.fetchone() == ("off", "UTC")

    with psycopg.connect(url, autocommit=True) as connection:
        assert connection.execute("SELECT current_setting('enable_seqscan')").fetchone() == ("on",)


def test_session_mode_keeps_session_state(url: str, database_url: str) -> None:
    assert keeps_session_state(url)
    assert keeps_session_state(database_url)
    refuse_shared_sessions(url)


def test_a_statement_that_was_let_go_of_keeps_its_place(url: str, database_url: str) -> None:
    with (
        psycopg.connect(database_url, autocommit=True) as operator,
        pool_of(url, size=1, timeout_seconds=LIMIT_SECONDS) as pool,
    ):
        Database(pool, timeout_seconds=LIMIT_SECONDS).rows("SELECT 1", ())
        database = Database(pool, timeout_seconds=1.0)

        for _ in range(5):
            with pytest.raises(LedgerUnavailable):
                database.rows("SELECT pg_sleep(3600)", ())

        # PgBouncer tells its clients other ids of backends than those that PostgreSQL knows.
        assert sleepers(operator) == 1
        operator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
        )
        wait_until(
            lambda: _answers(database), what="there is a connection again", timeout_seconds=LIMIT_SECONDS
        )


def sleepers(operator: psycopg.Connection) -> int:
    row = operator.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
    ).fetchone()
    assert row is not None
    return int(row[0])


def _answers(database: Database) -> bool:
    try:
        return database.rows("SELECT 1", ()) == [(1,)]
    except LedgerUnavailable:
        return False
