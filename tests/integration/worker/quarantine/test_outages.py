"""A bad message leaves Redis only when its row is committed: PostgreSQL away, workers killed and stopped."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from cashback_client.contract import QUEUE
from deploy.local.postgres import PostgresServer
from deploy.local.valkey import ValkeyServer
from tests.support import bad_messages
from tests.support.bad_messages import Bench, good, settle
from tests.support.raw_betcore import Peer, Request, reply
from worker.queue.transport.held import RETURNED

CONCURRENCY = 4
# How many messages a worker takes in hand: celery_configuration says two for each thread.
WINDOW = 2 * CONCURRENCY


@pytest.fixture
def bench(redis_url: str, database_url: str, tmp_path: Path) -> Iterator[Bench]:
    with bad_messages.bench(redis_url, database_url, tmp_path) as made:
        made.settings["concurrency"] = str(CONCURRENCY)
        yield made


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """Give the server to a test that stops it, and have it run for the next test."""
    yield postgres_server
    if not postgres_server.process.is_running:
        postgres_server.start()


def three_kinds() -> dict[str, bytes]:
    return {
        "unreadable": b"\xffgarbage",
        "unknown_task": settle(headers={"task": "partner.refund"}),
        "bad_message": settle([[], {"amount": 5}, None]),
    }


def wait_until_refused(bench: Bench, messages: int) -> None:
    """Wait until so many messages are in hand and PostgreSQL was asked in vain."""
    bench.wait(lambda: bench.unacknowledged() >= messages, "the worker has the messages in hand")
    bench.wait(lambda: "quarantine_waits" in bench.log(), "the worker has tried to write")


def test_what_arrives_while_postgresql_is_away_is_kept_when_it_is_back(
    bench: Bench, postgres: PostgresServer
) -> None:
    bench.start_worker()
    bad = three_kinds()
    postgres.stop_immediate()
    for each in bad.values():
        bench.push(each)
    wait_until_refused(bench, len(bad))

    postgres.start()

    for reason, each in bad.items():
        assert bench.wait_for_row(each)["reason"] == reason
    assert [row["seen_count"] for row in bench.rows()] == [1, 1, 1]
    bench.credit(481)


def test_a_worker_takes_no_more_bad_messages_in_hand_than_its_prefetch_window(
    bench: Bench, postgres: PostgresServer
) -> None:
    bench.start_worker()
    bad = [settle(headers={"task": f"partner.{number}"}) for number in range(3 * WINDOW)]
    postgres.stop_immediate()

    for each in bad:
        bench.push(each)

    # A single free place is not worth a look.
    wait_until_refused(bench, WINDOW - 1)
    with redis.Redis.from_url(bench.redis_url) as client:
        assert client.llen(QUEUE) >= len(bad) - WINDOW
    postgres.start()
    for each in bad:
        bench.wait_for_row(each)


def test_a_worker_that_is_killed_before_the_row_is_written_loses_nothing(
    bench: Bench, postgres: PostgresServer
) -> None:
    worker = bench.start_worker()
    bad = three_kinds()
    postgres.stop_immediate()
    for each in bad.values():
        bench.push(each)
    wait_until_refused(bench, len(bad))

    worker.kill()
    bench.end_leases()
    postgres.start()
    bench.start_worker()

    bench.wait(lambda: len(bench.rows()) == len(bad), "all of them are in quarantine")
    assert {row["reason"]: row["message"] for row in bench.rows()} == bad
    bench.wait_until_idle()


def test_a_worker_that_is_stopped_before_the_row_is_written_hands_the_messages_back(
    bench: Bench, postgres: PostgresServer
) -> None:
    worker = bench.start_worker()
    bad = three_kinds()
    postgres.stop_immediate()
    for each in bad.values():
        bench.push(each)
    wait_until_refused(bench, len(bad))

    os.kill(worker.pid, signal.SIGTERM)
    assert worker.wait(timeout_seconds=bad_messages.WAIT_SECONDS) == 0

    assert bench.unacknowledged() == 0
    with redis.Redis.from_url(bench.redis_url) as client:
        assert client.llen(RETURNED) == len(bad), bench.log()
    postgres.start()
    bench.start_worker()
    bench.wait(lambda: len(bench.rows()) == len(bad), "all of them are in quarantine")
    assert {row["reason"] for row in bench.rows()} == set(bad)


def test_redis_that_restarts_while_a_message_is_in_hand_neither_ends_the_worker_nor_loses_it(
    bench: Bench, postgres: PostgresServer, valkey_server: ValkeyServer
) -> None:
    worker = bench.start_worker()
    bad = three_kinds()
    postgres.stop_immediate()
    for each in bad.values():
        bench.push(each)
    wait_until_refused(bench, len(bad))

    valkey_server.restart()
    bench.wait(lambda: bench.log().count('"Connected to ') == 2, "the worker consumes again")
    postgres.start()

    bench.wait(lambda: len(bench.rows()) == len(bad), "all of them are in quarantine")
    bench.wait_until_idle()
    bench.credit(481)
    assert worker.is_running


def test_redis_that_restarts_during_a_run_does_not_end_the_worker(
    redis_url: str, database_url: str, valkey_server: ValkeyServer, tmp_path: Path
) -> None:
    restarted = threading.Event()

    def accept(peer: Peer, connection: socket.socket, request: Request) -> None:
        restarted.wait(bad_messages.WAIT_SECONDS)
        reply(200)(peer, connection, request)

    with bad_messages.bench(redis_url, database_url, tmp_path, accept=accept) as bench:
        worker = bench.start_worker(accept_timeout_seconds="60")
        bench.push(good(481))
        bench.wait(lambda: bool(bench.accepts()), "the accept is on its way")

        valkey_server.restart()
        bench.wait(lambda: bench.log().count('"Connected to ') == 2, "the worker consumes again")
        restarted.set()

        bench.wait_until_idle()
        bench.credit(482)
        assert worker.is_running
