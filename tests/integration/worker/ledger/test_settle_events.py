"""The call for a group: its locks meet others without a deadlock, and it reads no table as a whole."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import psycopg
import pytest
from psycopg import sql
from psycopg_pool import ConnectionPool

from deploy.local.processes import wait_until
from tests.support.books import SOUND, add_user, audit, balances, new_event, payout, policy, pool_of
from worker.domain.settlement import Settlement, State
from worker.ledger.database import DeadlineConnection
from worker.ledger.ledger import Ledger, SettlementRequest

TABLES = ("accounts", "currencies", "entries", "receipts", "transactions")
USERS = [f"user-{number}" for number in range(12)]
ROUNDS = 40
PROCESSES = 3


def requests_for(names: list[str], *, first_cashback_id: int) -> list[SettlementRequest]:
    """Ask for a payout to each of these users."""
    return [
        SettlementRequest(
            event=new_event(cashback_id),
            instruction=payout(cashback_id, name, "1"),
            attempt_seconds=3.0,
        )
        for cashback_id, name in enumerate(names, first_cashback_id)
    ]


def settle_shuffled(
    pool: ConnectionPool[DeadlineConnection],
    rounds: list[list[SettlementRequest]],
    seed: int,
    barrier: Barrier,
) -> list[Settlement]:
    """Settle the same groups as everybody does, each in an order of one's own."""
    rng = random.Random(seed)  # noqa: S311 - an order, not a secret
    ledger = Ledger(pool, policy=policy(), timeout_seconds=120)
    settled: list[Settlement] = []
    for requests in rounds:
        barrier.wait(timeout=120)
        mine = rng.sample(requests, len(requests))
        settled += ledger.settle_group(mine, deadline=ledger.next_deadline()).values()
    return settled


@pytest.mark.parametrize("same_events", [True, False], ids=["the same events", "events of their own"])
def test_groups_over_the_same_accounts_in_another_order_do_not_lock_each_other_out(
    database_url: str,
    same_events: bool,  # noqa: FBT001 - a case
) -> None:
    barrier = Barrier(PROCESSES)
    with psycopg.connect(database_url, autocommit=True) as connection:
        # Of the database: whom the function acts as may not set it.
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET deadlock_timeout = '50ms'").format(
                sql.Identifier(connection.info.dbname)
            )
        )
    with (
        psycopg.connect(database_url, autocommit=True) as connection,
        pool_of(database_url, size=PROCESSES) as pool,
        ThreadPoolExecutor(PROCESSES) as threads,
    ):
        for name in USERS:
            add_user(connection, name)
        # A deadlock is to be seen as one, and not to be ended by the group's own limit.
        connection.execute("ALTER FUNCTION settle_events SET lock_timeout = '120s'")
        mine = [
            received_rounds(connection, first_cashback_id=1 + process * ROUNDS * len(USERS))
            for process in range(1 if same_events else PROCESSES)
        ]

        calls = [
            threads.submit(settle_shuffled, pool, mine[process % len(mine)], process, barrier)
            for process in range(PROCESSES)
        ]
        settled = [call.result(120) for call in calls]

        assert [{each.code for each in of_one} for of_one in settled] == [{200}] * PROCESSES
        assert [len(of_one) for of_one in settled] == [ROUNDS * len(USERS)] * PROCESSES
        assert set(balances(connection, *USERS).values()) == {ROUNDS * 100 * len(mine)}
        assert audit(connection) == SOUND


def received_rounds(
    connection: psycopg.Connection, *, first_cashback_id: int
) -> list[list[SettlementRequest]]:
    """Make groups of one event for each user, with their receipts."""
    rounds = [
        requests_for(USERS, first_cashback_id=first_cashback_id + number * len(USERS))
        for number in range(ROUNDS)
    ]
    for event in (request.event for requests in rounds for request in requests):
        connection.execute(
            "SELECT record_receipt(%s, %s, %s, %s, 600, 900, 3)",
            (event.event_id, event.token, event.cashback_id, event.received_at),
        )
    return rounds


def in_a_group(ledger: Ledger, requests: list[SettlementRequest]) -> None:
    """Settle them in one call."""
    ledger.settle_group(requests, deadline=ledger.next_deadline())


def one_by_one(ledger: Ledger, requests: list[SettlementRequest]) -> None:
    """Settle each in a call of its own."""
    for request in requests:
        ledger.settle_alone(request, deadline=ledger.next_deadline())


def settle_and_end(
    ledger: Ledger,
    settle: Callable[[Ledger, list[SettlementRequest]], None],
    requests: list[SettlementRequest],
) -> None:
    """Settle the events and take them to their ends: one is put off and refused, the others are answered."""
    settle(ledger, requests)
    first, *others = [request.event.event_id for request in requests]
    ledger.postpone(first, delay_seconds=1, error="HTTP 500")
    ledger.close(first, State.REFUSED, error="HTTP 200, ErrorCode 103752")
    ledger.mark_answered(others)


@pytest.mark.parametrize("known", ["nothing", "empty"])
@pytest.mark.parametrize("settle", [in_a_group, one_by_one])
def test_settling_reads_no_table_as_a_whole_whatever_is_known_of_its_size(
    database_url: str, settle: Callable[[Ledger, list[SettlementRequest]], None], known: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection, pool_of(database_url, size=1) as pool:
        for name in USERS:
            add_user(connection, name)
        if known == "empty":
            connection.execute("VACUUM ANALYZE")
        ledger = Ledger(pool, policy=policy(), timeout_seconds=120)
        # The plans are made while the tables are all but empty, and then kept.
        first = requests_for(USERS, first_cashback_id=1)
        settle_and_end(ledger, settle, first)

        before = scans(connection, pool)

        for number in range(2):
            more = requests_for(USERS, first_cashback_id=100 + 100 * number)
            settle_and_end(ledger, settle, more)

        assert scans(connection, pool) == before
        assert walks_over_receipts(connection) == 0


@pytest.mark.parametrize("settle", [in_a_group, one_by_one])
def test_a_user_is_found_whatever_encoding_connections_were_told(
    database_url: str, settle: Callable[[Ledger, list[SettlementRequest]], None]
) -> None:
    url = f"{database_url}?client_encoding=LATIN1"
    with psycopg.connect(database_url, autocommit=True) as connection, pool_of(url, size=1) as pool:
        add_user(connection, "Zo\u00eb")

        settle(
            Ledger(pool, policy=policy(), timeout_seconds=120),
            requests_for(["Zo\u00eb"], first_cashback_id=1),
        )

        assert balances(connection, "Zo\u00eb") == {"Zo\u00eb": 100}


def test_a_receipt_that_is_just_being_made_does_not_undo_the_group(database_url: str) -> None:
    with (
        psycopg.connect(database_url, autocommit=True) as connection,
        psycopg.connect(database_url) as receiver,
        pool_of(database_url, size=1) as pool,
        ThreadPoolExecutor(1) as threads,
    ):
        for name in USERS:
            add_user(connection, name)
        # Only the receiver's commit shall end the wait.
        connection.execute("ALTER FUNCTION settle_events SET lock_timeout = '120s'")
        ledger = Ledger(pool, policy=policy(), timeout_seconds=120)
        requests = requests_for(USERS, first_cashback_id=1)
        overtaken = requests[len(requests) // 2].event
        receiver.execute(
            "SELECT record_receipt(%s, %s, %s, %s, 600, 900, 3)",
            (overtaken.event_id, overtaken.token, overtaken.cashback_id, overtaken.received_at),
        )

        call = threads.submit(ledger.settle_group, requests, deadline=ledger.next_deadline())
        wait_until(lambda: somebody_waits(connection), what="the group waits", timeout_seconds=120)
        receiver.commit()
        settled = call.result(120)

        assert {event_id: each.code for event_id, each in settled.items()} == {
            request.event.event_id: 200 for request in requests
        }
        assert set(balances(connection, *USERS).values()) == {100}
        assert audit(connection) == SOUND


def somebody_waits(connection: psycopg.Connection) -> bool:
    """Say whether a session waits for another one's lock."""
    row = connection.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)").fetchone()
    return row is not None and bool(row[0])


def scans(connection: psycopg.Connection, pool: ConnectionPool[DeadlineConnection]) -> dict[str, int]:
    """Return how often each table was read as a whole by what was done on the one connection of the pool."""
    with pool.connection() as used:
        used.execute("SELECT pg_stat_force_next_flush()")
    rows = connection.execute(
        "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE relname = ANY (%s)", (list(TABLES),)
    )
    return dict(rows.fetchall())


def walks_over_receipts(connection: psycopg.Connection) -> int:
    """Return how often a receipt was looked for by another index than the one of its id."""
    row = connection.execute(
        "SELECT sum(idx_scan)::integer FROM pg_stat_user_indexes"
        " WHERE relname = 'receipts' AND indexrelname <> 'receipts_pkey'"
    ).fetchone()
    assert row is not None
    return int(row[0])
