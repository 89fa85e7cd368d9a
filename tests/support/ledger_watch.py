"""A worker's ledger with the watch beside it, and copies of the database that can be put back."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
from celery import Celery
from psycopg import sql
from psycopg_pool import ConnectionPool

from deploy.local.postgres import PostgresServer
from tests.support.books import add_user, new_event, payout, policy, pool_of
from worker.domain.settlement import PostedTransaction
from worker.errors import LedgerUnavailable
from worker.ledger.commit_notes import CommitNotes
from worker.ledger.database import Database, DeadlineConnection
from worker.ledger.ledger import Ledger
from worker.metrics import Metrics
from worker.recovery.ledger_watch import COMPARE_SECONDS, LedgerWatch
from worker.recovery.rewind import Rewinds
from worker.recovery.witness import RedisWitness

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


def has_ann(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        add_user(connection, "ann")


def told(logs: list[Any]) -> list[Any]:
    return [line for line in logs if line["event"] == "ledger_rewound"]
