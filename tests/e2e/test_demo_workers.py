"""A second worker, started by hand beside the first, shares the load with no change to settings."""

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg
import pytest
import redis
from celery import Celery

from cashback_client.contract import TASK_NAME
from deploy.local.demo import check
from deploy.local.demo.history import read_history
from deploy.local.demo.run import demo_environment
from deploy.local.processes import wait_until
from deploy.local.stack import Stack, StackOptions
from worker.recovery.witness import COMMITS_KEY

EVENTS = 120
SENDERS = 16
# A worker that takes nothing in all of them takes nothing ever.
MAX_ROUNDS = 10
DEADLINE_SECONDS = 120
ACCOUNTS = "user_id,currency,status,balance\n" + "".join(f"u{n},EUR,active,1.00\n" for n in range(10))


@pytest.fixture
def stack(own_directory: Path) -> Iterator[Stack]:
    options = StackOptions(
        directory=own_directory,
        flower=False,
        accounts_csv=ACCOUNTS,
        simulator_arguments=("--accept-limit-seconds", str(DEADLINE_SECONDS)),
        environ=demo_environment({**os.environ, "CASHBACK_DEADLINE_SECONDS": str(DEADLINE_SECONDS)}),
    )
    with Stack(options) as running:
        yield running


@pytest.mark.timeout(600)
def test_two_workers_share_the_events_and_each_is_credited_once(stack: Stack) -> None:
    # given one worker at work, and a second one that is started beside it
    settings = dict(stack.environ)
    stack.add_worker()

    # when more events come than one of them takes at a time, again while the other has had no chance
    with httpx.Client(base_url=stack.simulator_url, trust_env=False, timeout=120) as simulator:
        for events in range(EVENTS, (MAX_ROUNDS + 1) * EVENTS, EVENTS):
            _send(simulator, range(events - EVENTS, events))
            _wait_for_ends(stack, events)
            settled = _settled_by_worker(stack)
            if all(settled.values()):
                break
        log = simulator.get("/sim/log").raise_for_status().json()

    # then both have settled some of them, together all of them, and the books say so
    assert all(settled.values()), settled
    # A retry counts again.
    assert sum(settled.values()) >= events
    assert stack.environ == settings
    history = read_history(log, stack.database_url)
    assert check.ends(history) == {"answered": events}
    assert check.lost(history) == []
    each_minor = 100 + events // 10 * 250
    assert check.double_credits(history, {f"u{n}": each_minor for n in range(10)}) == []
    assert check.false_success(history) == []
    # And what they committed is on record outside of PostgreSQL, for whoever must know it after a rewind.
    wait_until(lambda: _on_record(stack) == events, what="the witness has all commits", timeout_seconds=120)


def _send(simulator: httpx.Client, numbers: range) -> None:
    with ThreadPoolExecutor(SENDERS) as senders:
        replies = list(senders.map(lambda number: _make(simulator, number), numbers))
    assert Counter(reply["http_status"] for reply in replies) == {200: len(numbers)}


def _make(simulator: httpx.Client, number: int) -> dict[str, object]:
    order = {"cashback_id": number + 1, "user_id": f"u{number % 10}", "amount": "2.50"}
    reply: dict[str, object] = simulator.post("/sim/makes", json=order).raise_for_status().json()
    return reply


def _wait_for_ends(stack: Stack, events: int) -> None:
    wait_until(lambda: _closed(stack) == events, what="all events ended", timeout_seconds=200)


def _closed(stack: Stack) -> int:
    with psycopg.connect(stack.database_url) as connection:
        row = connection.execute("SELECT count(*) FROM receipts WHERE closed_at IS NOT NULL").fetchone()
    return int(row[0]) if row is not None else 0


def _on_record(stack: Stack) -> int:
    with redis.Redis.from_url(stack.redis_url) as client:
        return int(client.zcard(COMMITS_KEY))


def _settled_by_worker(stack: Stack) -> dict[str, int]:
    settled: dict[str, int] = {}

    def both_said() -> bool:
        settled.update(_ask_workers(stack))
        return len(settled) == 2

    # A question is a message to whoever listens, and an answer that comes late is not waited for: ask again.
    wait_until(both_said, what="both workers said what they have settled", timeout_seconds=120)
    return settled


def _ask_workers(stack: Stack) -> dict[str, int]:
    app = Celery("test-observer", broker=stack.redis_url, set_as_current=False)
    try:
        replies = app.control.inspect(timeout=30, limit=2).stats() or {}
    finally:
        app.close()
    return {worker: stats["total"].get(TASK_NAME, 0) for worker, stats in replies.items()}
