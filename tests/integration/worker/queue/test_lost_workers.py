"""A worker dies, or stands still, with messages in hand that have no receipt; real workers, real servers."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
import redis

from tests.support import bad_messages
from tests.support.bad_messages import Bench, good
from tests.support.held import held
from tests.support.raw_betcore import Peer, Request, reply
from worker.queue.consumer import MAX_LOST_WORKERS
from worker.queue.transport.held import LEASES

# At the deadline of these workers.
LEASE_SECONDS = 6.0
_POLL_SECONDS = 0.02


class Held:
    """A BETCORE that answers the accepts of some CashbackIds only when it is told to."""

    def __init__(self, *cashback_ids: int) -> None:
        self.released = threading.Event()
        self._members = [f'"CashbackId":{cashback_id},' for cashback_id in cashback_ids]

    def __call__(self, peer: Peer, connection: socket.socket, request: Request) -> None:
        body = "".join(request.body.decode().split())
        if any(member in body for member in self._members):
            while not self.released.wait(_POLL_SECONDS) and not peer.closing.is_set():
                pass
        reply(200)(peer, connection, request)


@pytest.fixture
def betcore() -> Held:
    return Held(1, 2)


@pytest.fixture
def bench(redis_url: str, database_url: str, tmp_path: Path, betcore: Held) -> Iterator[Bench]:
    with bad_messages.bench(redis_url, database_url, tmp_path, accept=betcore) as made:
        # The sweeper brings back what has a receipt: here only Redis has it.
        made.settings |= {"concurrency": "1", "accept_timeout_seconds": "60", "sweep_interval_seconds": "60"}
        yield made


def in_hand(bench: Bench) -> int:
    with redis.Redis.from_url(bench.redis_url) as client:
        return held(client)


def lease_left_seconds(bench: Bench) -> float:
    """Return how long the lease lasts that ends last."""
    with redis.Redis.from_url(bench.redis_url) as client:
        leases: Any = client.zrange(LEASES, 0, -1, withscores=True)
        seconds, microseconds = cast("tuple[int, int]", client.time())
    return float(max(ends for _, ends in leases)) / 1000 - seconds - microseconds / 1e6


def waits_for_a_lock(connection: psycopg.Connection) -> bool:
    """Whether a statement of a worker waits for a lock."""
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    ).fetchone()
    return row != (0,)


def runs(bench: Bench, cashback_id: int) -> int:
    with psycopg.connect(bench.database_url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT runs FROM receipts WHERE cashback_id = %s", (cashback_id,)
        ).fetchone()
    return row[0] if row else 0


def test_what_a_killed_worker_had_in_hand_is_settled_by_the_next_one(bench: Bench, betcore: Held) -> None:
    worker = bench.start_worker()
    for cashback_id in (1, 2):
        bench.push(good(cashback_id))
    bench.wait(lambda: in_hand(bench) == 2 and bool(bench.accepts()), "both wait in the worker")

    worker.kill()
    betcore.released.set()
    bench.start_worker()

    for cashback_id in (1, 2):
        bench.wait_for_success(cashback_id)
    bench.wait_until_idle()


def test_what_several_workers_had_in_hand_when_they_died_is_not_given_to_another(bench: Bench) -> None:
    poison = good(1)
    bench.push(poison)
    for lost_workers in range(MAX_LOST_WORKERS):
        worker = bench.start_worker()
        bench.wait(lambda most=lost_workers + 1: runs(bench, 1) == most, "the worker runs it")
        worker.kill()
        bench.end_leases()

    bench.start_worker()

    row = bench.wait_for_row(poison)
    assert (row["reason"], row["queue"]) == ("lost_workers", "cashback")
    assert runs(bench, 1) == MAX_LOST_WORKERS
    # Whoever repairs the cause puts it back, and it begins anew.
    bench.credit(2)


def test_what_waited_in_a_paused_worker_is_not_run_beside_its_heir(bench: Bench, betcore: Held) -> None:
    betcore.released.set()
    paused = bench.start_worker(database_timeout_seconds="60")
    with psycopg.connect(bench.database_url) as holding:
        holding.execute("LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE")
        for cashback_id in (1, 2):
            bench.push(good(cashback_id))
        bench.wait(lambda: in_hand(bench) == 2 and waits_for_a_lock(holding), "one runs, and one waits")
        os.kill(paused.pid, signal.SIGSTOP)

    try:
        heir = bench.start_worker()
        bench.wait_for_success(2)
        bench.wait_until_idle()
        heir.kill()
    finally:
        os.kill(paused.pid, signal.SIGCONT)

    bench.credit(3)  # by the worker that goes on, after what it had before
    assert runs(bench, 2) == 1


def test_what_runs_in_a_worker_that_is_asked_to_stop_is_run_by_nobody_else(
    bench: Bench, betcore: Held
) -> None:
    stopping = bench.start_worker(shutdown_grace_seconds="60")
    bench.push(good(1))
    bench.wait(lambda: bool(bench.accepts()), "it runs")
    bench.start_worker()

    os.kill(stopping.pid, signal.SIGTERM)
    # Nobody keeps it up any more.
    bench.wait(lambda: lease_left_seconds(bench) > LEASE_SECONDS, "the lease lasts until it has stopped")
    betcore.released.set()

    assert stopping.wait(timeout_seconds=bad_messages.WAIT_SECONDS) == 0
    bench.wait_until_idle()
    assert runs(bench, 1) == 1
