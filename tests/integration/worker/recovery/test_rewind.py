"""A ledger that was put back to an older state is noticed, and what it lost is named."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
import redis
from celery import Celery
from psycopg import sql
from psycopg_pool import ConnectionPool
from structlog.testing import capture_logs

from deploy.local.ports import free_port
from deploy.local.postgres import PostgresServer
from producer.shared.session import LASTING_PLANS
from tests.support.books import add_user, new_event, payout, policy, pool_of
from worker.domain.settlement import PostedTransaction
from worker.errors import LedgerUnavailable
from worker.ledger.commit_notes import MAX_COMMITS, Commit, CommitNotes
from worker.ledger.database import Database, DeadlineConnection
from worker.ledger.ledger import Ledger
from worker.metrics import Metrics
from worker.recovery import rewind
from worker.recovery.broker import BrokerUnavailable
from worker.recovery.ledger_watch import COMPARE_SECONDS, RECONNECT_SECONDS, LedgerWatch
from worker.recovery.rewind import Rewinds
from worker.recovery.witness import COMMITS_KEY, LOST_KEY, RedisWitness

LONG_ENOUGH_SECONDS = 2 * COMPARE_SECONDS


@dataclass
class Clock:
    """A monotonic clock that a test moves."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Worker:
    """What a worker process has of it: a ledger, and the watch beside it."""

    ledger: Ledger
    notes: CommitNotes
    watch: LedgerWatch
    metrics: Metrics
    clock: Clock = field(default_factory=Clock)

    def settle(self, *cashback_ids: int) -> None:
        for cashback_id in cashback_ids:
            event = new_event(cashback_id)
            settlement = self.ledger.settle(event, payout(cashback_id, "ann", "1"))
            assert isinstance(settlement.transaction, PostedTransaction)
            self.notes.note(settlement.transaction, event.event_id)

    def settle_in_the_end(self, cashback_id: int) -> None:
        """Settle once the pool has found out that its connections are gone."""
        _in_the_end(lambda: self.settle(cashback_id))

    def look(self, *, after_seconds: float = LONG_ENOUGH_SECONDS) -> None:
        """Run a round, with connections that work."""
        self.clock.now += after_seconds
        _in_the_end(self.watch.round)

    @property
    def lost(self) -> float | None:
        return self.metrics.registry.get_sample_value("cashback_ledger_lost_commits")


def _in_the_end(work: Callable[[], None]) -> None:
    for _ in range(10):
        with suppress(LedgerUnavailable):
            work()
            return
    raise AssertionError("PostgreSQL stayed away")


@contextmanager
def worker_on(database_url: str, redis_url: str) -> Iterator[Worker]:
    with ExitStack() as stack:
        pool = stack.enter_context(pool_of(database_url))
        app = Celery("rewind-test", broker=redis_url, set_as_current=False)
        stack.callback(app.close)
        app.conf.broker_transport_options = {"socket_timeout": 60, "socket_connect_timeout": 60}
        database = Database(pool, timeout_seconds=120)
        witness = RedisWitness(app.pool, timeout_seconds=60)
        notes, metrics, clock = CommitNotes(), Metrics(), Clock()
        watch = LedgerWatch(
            notes=notes,
            witness=witness,
            rewinds=Rewinds(database, witness, metrics),
            connections_made=_connections_made(pool),
            random=lambda: 0.5,
            monotonic=clock,
        )
        yield Worker(Ledger(pool, policy=policy(), timeout_seconds=120), notes, watch, metrics, clock)


def _connections_made(pool: ConnectionPool[DeadlineConnection]) -> Callable[[], int]:
    return lambda: pool.get_stats().get("connections_num", 0)


@dataclass(frozen=True)
class Backup:
    """A copy of the test's database as it once was."""

    server: PostgresServer
    database: str
    copy: str

    def restore(self) -> None:
        """Put the copy in the database's place; whoever is connected to that is thrown out."""
        old, copy = sql.Identifier(self.database), sql.Identifier(self.copy)
        with psycopg.connect(self.server.url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(old))
            connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(copy, old))


@pytest.fixture
def backup(database_url: str, postgres_server: PostgresServer) -> Iterator[Callable[[], Backup]]:
    copies = []

    def make() -> Backup:
        database = database_url.rpartition("/")[2]
        copies.append(f"{database}_copy")
        copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        with psycopg.connect(postgres_server.url, autocommit=True) as connection:
            connection.execute(copy.format(sql.Identifier(copies[-1]), sql.Identifier(database)))
        return Backup(postgres_server, database, copies[-1])

    yield make
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        for copy in copies:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(copy)))


@pytest.fixture
def redis_client(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


def has_ann(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        add_user(connection, "ann")


def told(logs: list[Any]) -> list[Any]:
    return [line for line in logs if line["event"] == "ledger_rewound"]


def test_a_restored_older_ledger_is_noticed_and_what_it_lost_is_named(
    database_url: str, redis_url: str, backup: Callable[[], Backup]
) -> None:
    has_ann(database_url)
    with worker_on(database_url, redis_url) as worker:
        worker.settle(480, 481)
        worker.look()
    older = backup()
    with worker_on(database_url, redis_url) as worker, capture_logs() as logs:
        worker.settle(482, 483, 484)
        worker.look()
        assert (told(logs), worker.lost) == ([], 0)

        older.restore()
        worker.settle_in_the_end(485)
        worker.look(after_seconds=RECONNECT_SECONDS)

        (line,) = told(logs)
        assert (line["log_level"], line["commits"], line["first"]) == (
            "error",
            3,
            ["482-1", "483-1", "484-1"],
        )
        assert line["highest_transaction_seen"] == line["highest_transaction"] + 2
        assert "docs/standby.md" in line["what_to_do"]
        assert worker.lost == 3


def test_it_is_noticed_at_start_and_told_once_though_every_worker_sees_it(
    database_url: str, redis_url: str, backup: Callable[[], Backup]
) -> None:
    has_ann(database_url)
    older = backup()
    with worker_on(database_url, redis_url) as worker:
        worker.settle(480)
        worker.look()
    older.restore()

    with (
        worker_on(database_url, redis_url) as one,
        worker_on(database_url, redis_url) as other,
        capture_logs() as logs,
    ):
        for worker in (one, other, one):
            worker.look()

        assert len(told(logs)) == 1
        assert (one.lost, other.lost) == (1, 1)


def test_what_was_noted_and_not_yet_on_record_is_missed_too(
    database_url: str, redis_url: str, backup: Callable[[], Backup]
) -> None:
    has_ann(database_url)
    older = backup()
    with worker_on(database_url, redis_url) as worker, capture_logs() as logs:
        worker.look()
        worker.settle(480)
        older.restore()

        # The second time it is on record itself, as are those of a worker that told at the same moment.
        worker.look()
        worker.look()

        assert [line["first"] for line in told(logs)] == [["480-1"]]


def test_after_a_reconnect_nothing_is_put_on_record_before_the_comparison(
    database_url: str, redis_url: str, redis_client: "redis.Redis"
) -> None:
    has_ann(database_url)
    with worker_on(database_url, redis_url) as worker:
        worker.look()
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        worker.settle_in_the_end(480)

        worker.look(after_seconds=RECONNECT_SECONDS / 2)
        assert redis_client.zcard(COMMITS_KEY) == 0
        worker.look(after_seconds=RECONNECT_SECONDS / 2)
        assert redis_client.zcard(COMMITS_KEY) == 1


def test_money_that_was_made_again_is_no_longer_lost(
    database_url: str, redis_url: str, backup: Callable[[], Backup], redis_client: "redis.Redis"
) -> None:
    has_ann(database_url)
    older = backup()
    with worker_on(database_url, redis_url) as worker, capture_logs() as logs:
        worker.settle(480, 481)
        worker.look()
        older.restore()
        worker.look()
        assert worker.lost == 2

        worker.settle(480)
        worker.look()

        assert (worker.lost, redis_client.zcard(LOST_KEY)) == (1, 1)
        assert [line["first"] for line in logs if line["event"] == "lost_commits_back"] == [["480-1"]]
        assert len(told(logs)) == 1


def test_the_record_is_bounded_and_keeps_the_newest(
    database_url: str, redis_url: str, redis_client: "redis.Redis"
) -> None:
    has_ann(database_url)
    with worker_on(database_url, redis_url) as worker:
        worker.settle(480)
        (first,) = worker.notes.take()
        witness = worker.watch._witness  # noqa: SLF001 - the same as the worker's
        later = [
            Commit(
                cashback_id=1_000 + number,
                transaction_type=1,
                event_id=first.event_id,
                transaction_id=1_000 + number,
                seen_at_ms=first.seen_at_ms + 1 + number,
            )
            for number in range(MAX_COMMITS)
        ]

        witness.add([first])
        witness.add(later)

        assert redis_client.zcard(COMMITS_KEY) == MAX_COMMITS
        assert sorted(each.cashback_id for each in witness.newest()) == [each.cashback_id for each in later]


def test_what_somebody_else_wrote_there_is_not_believed(
    database_url: str, redis_url: str, redis_client: "redis.Redis"
) -> None:
    event = "0cc175b9-c0f1-b6a8-31c3-99e269772661"
    bad = [
        "",
        "x",
        f"0:1:{event}:1",
        f"01:1:{event}:1",
        f"{2**63}:1:{event}:1",
        f"1:{2**31}:{event}:1",
        "9" * 500,
    ]
    redis_client.zadd(COMMITS_KEY, dict.fromkeys(bad, 1.0))
    with worker_on(database_url, redis_url) as worker, capture_logs() as logs:
        worker.look()

        assert (told(logs), worker.lost) == ([], 0)


def test_without_redis_nothing_is_forgotten(
    database_url: str, redis_url: str, redis_client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    has_ann(database_url)
    with worker_on(database_url, redis_url) as worker:
        worker.look()
        worker.settle(480, 481)
        with monkeypatch.context() as without:
            away = Celery("away", broker=f"redis://127.0.0.1:{free_port()}/0", set_as_current=False)
            without.setattr(worker.watch._witness, "_pool", away.pool)  # noqa: SLF001 - as if it had gone
            for _ in range(2):
                with pytest.raises(BrokerUnavailable):
                    worker.look()

        worker.settle(482)
        worker.look()

        assert redis_client.zcard(COMMITS_KEY) == 3


def test_what_was_committed_last_is_put_on_record_when_the_watch_ends(
    database_url: str, redis_url: str, redis_client: "redis.Redis"
) -> None:
    has_ann(database_url)
    with worker_on(database_url, redis_url) as worker:
        worker.settle(480)
        worker.watch.start()
        worker.watch.close(timeout_seconds=120)

        assert redis_client.zcard(COMMITS_KEY) == 1


def test_a_comparison_reads_no_more_than_what_it_asks_for(database_url: str) -> None:
    rows = 20_000
    with psycopg.connect(database_url, autocommit=True) as connection:
        account_id = add_user(connection, "ann")
        connection.execute("ALTER TABLE transactions DISABLE TRIGGER transactions_have_entries")
        connection.execute(
            "INSERT INTO transactions"
            " (kind, cashback_id, transaction_type, event_id, account_id, amount_minor)"
            " SELECT 'payout', number, 1, gen_random_uuid(), %s, 1 FROM generate_series(1, %s) AS number",
            (account_id, rows),
        )
    asked = 500

    with psycopg.connect(database_url, options=LASTING_PLANS) as connection:
        connection.execute(rewind._MISSING, (list(range(1, asked + 1)), [1] * asked))  # noqa: SLF001
        read = connection.execute(
            "SELECT seq_tup_read, idx_scan FROM pg_stat_xact_user_tables WHERE relname = 'transactions'"
        ).fetchone()

    assert read == (0, asked)
