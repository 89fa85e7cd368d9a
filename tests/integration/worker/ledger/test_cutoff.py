"""No credit is made after its cut-off, not even by a call that began before it."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from deploy.local.postgres import PostgresServer
from deploy.local.processes import wait_until
from tests.support.books import SOUND, add_user, audit, balances, new_event, payout, policy, pool_of
from worker.errors import CutoffPassed, LedgerUnavailable
from worker.ledger.ledger import Ledger

WAITS_FOR_A_LOCK = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


def test_a_call_that_waits_past_the_cutoff_is_undone_and_the_next_one_decides_102823(
    database_url: str,
) -> None:
    with (
        psycopg.connect(database_url, autocommit=True) as connection,
        psycopg.connect(database_url) as locker,
        pool_of(database_url) as pool,
        ThreadPoolExecutor(1) as thread,
    ):
        add_user(connection, "ann")
        ledger = Ledger(pool, policy=policy(cutoff_seconds=5, deadline_seconds=900), timeout_seconds=120)
        event, instruction = new_event(1), payout(1, "ann", "10")
        locker.execute("SELECT FROM accounts WHERE user_id = 'ann' FOR UPDATE")
        call = thread.submit(ledger.settle, event, instruction)
        wait_until(
            lambda: connection.execute(WAITS_FOR_A_LOCK).fetchone() == (1,),
            what="the call waits for the account",
            timeout_seconds=120,
        )
        # The server's own clock decides, so it is the one to wait by.
        connection.execute("SELECT pg_sleep_until(%s::timestamptz + interval '5.01 s')", (event.received_at,))
        locker.rollback()

        with pytest.raises(CutoffPassed):
            call.result(120)

        assert connection.execute("SELECT count(*) FROM receipts").fetchone() == (0,)
        assert balances(connection, "ann") == {"ann": 0}
        assert ledger.settle(event, instruction).code == 102823
        assert balances(connection, "ann") == {"ann": 0}
        assert audit(connection) == SOUND


def test_a_decided_event_stays_decided_when_its_cutoff_passes(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection, pool_of(database_url) as pool:
        add_user(connection, "ann")
        ledger = Ledger(pool, policy=policy(cutoff_seconds=5, deadline_seconds=900), timeout_seconds=120)
        event, instruction = new_event(1), payout(1, "ann", "10")
        first = ledger.settle(event, instruction)
        connection.execute("SELECT pg_sleep_until(%s::timestamptz + interval '5.01 s')", (event.received_at,))

        again, given_up = ledger.settle(event, instruction), ledger.give_up(event.event_id)

        assert given_up is not None
        assert first.code == again.code == given_up.code == 200
        assert first.transaction == again.transaction == given_up.transaction
        assert again.seconds_to_cutoff < 0 < again.seconds_to_deadline


def test_the_times_are_those_of_the_receipt_and_not_of_the_message(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection, pool_of(database_url) as pool:
        add_user(connection, "ann")
        event = new_event(1)
        connection.execute(
            "SELECT record_receipt(%s, %s, 1, clock_timestamp() - interval '1 hour', 25, 30, 3)",
            (event.event_id, event.token),
        )
        ledger = Ledger(pool, policy=policy(), timeout_seconds=120)

        settlement = ledger.settle(event, payout(1, "ann", "10"))

        assert settlement.code == 102823
        assert settlement.seconds_to_deadline < -3000


def test_a_wait_for_a_lock_is_bounded_and_leaves_no_effect(database_url: str) -> None:
    with (
        psycopg.connect(database_url, autocommit=True) as connection,
        psycopg.connect(database_url) as locker,
        pool_of(database_url) as pool,
    ):
        add_user(connection, "ann")
        ledger = Ledger(pool, policy=policy(), timeout_seconds=0.5)
        locker.execute("SELECT FROM accounts WHERE user_id = 'ann' FOR UPDATE")

        with pytest.raises(LedgerUnavailable):
            ledger.settle(new_event(1), payout(1, "ann", "10"))

        assert balances(connection, "ann") == {"ann": 0}


def test_after_a_restart_of_postgresql_the_ledger_finds_it_again(
    database_url: str, postgres_server: PostgresServer
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        add_user(connection, "ann")
    with pool_of(database_url) as pool:
        ledger = Ledger(pool, policy=policy(), timeout_seconds=5)
        event, instruction = new_event(1), payout(1, "ann", "10")
        first = ledger.settle(event, instruction)
        postgres_server.kill()
        try:
            with pytest.raises(LedgerUnavailable):
                ledger.settle(event, instruction)
        finally:
            postgres_server.start()

        def answers() -> bool:
            try:
                return ledger.settle(event, instruction).transaction == first.transaction
            except LedgerUnavailable:
                return False

        wait_until(answers, what="the ledger answers again", timeout_seconds=120)
