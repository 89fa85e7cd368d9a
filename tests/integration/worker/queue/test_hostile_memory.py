"""What a worker keeps of hostile messages: its memory after a thousand of them; shown with `pytest -s`."""

import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # ships no type information
import pytest
import redis

from cashback_client.contract import QUEUE
from tests.support import bad_messages
from tests.support.bad_kinds import BAD
from tests.support.bad_messages import Bench, good, settle

HONEST = 300
HOSTILE = 1_000
LARGE: list[Callable[[], bytes]] = [
    lambda: b"x" * 1_000_000,
    lambda: b"x" * 3_000_000,
    lambda: b"[" * 1_000_000,
    lambda: settle(headers={"much": "x" * 250_000}),
    lambda: settle(headers={"much": [[number] for number in range(30_000)]}),
    lambda: settle(json.dumps([[], {"token": "x" * 150_000}, None]).encode()),
]
# What the largest take on their way stays with the allocator: it was 40 to 60 MB, and grew no more.
MOST_GROWTH_MB = 150
_IDLE_SECONDS = 1.0


@pytest.fixture
def bench(redis_url: str, database_url: str, tmp_path: Path) -> Iterator[Bench]:
    with bad_messages.bench(redis_url, database_url, tmp_path) as made:
        yield made


def settled(bench: Bench, numbers: range) -> None:
    """Have so many honest events settled."""
    for number in numbers:
        bench.push(good(number))
    bench.wait(lambda: len(bench.accepts()) >= numbers.stop - 1, "all are answered")
    bench.wait_until_idle()


def resident_mb(pid: int) -> float:
    """Return the memory that a process has, the least of some looks while it has nothing to do."""
    process = psutil.Process(pid)
    looks: list[float] = []
    for _ in range(10):
        time.sleep(_IDLE_SECONDS / 10)
        looks.append(process.memory_info().rss / 1e6)
    return min(looks)


def test_a_thousand_hostile_messages_leave_nothing_in_a_workers_memory(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    worker = bench.start_worker(concurrency="16")
    settled(bench, range(1, HONEST + 1))
    before = resident_mb(worker.pid)

    makers = itertools.cycle([make for _, _, make in BAD] + LARGE)
    with redis.Redis.from_url(bench.redis_url) as client:
        for make in itertools.islice(makers, HOSTILE):
            client.lpush(QUEUE, make())
    bench.wait_until_idle()
    settled(bench, range(HONEST + 1, HONEST + 101))
    after = resident_mb(worker.pid)

    with capsys.disabled():
        sys.stdout.write(f"\n{before:.0f} MB, and {after:.0f} MB after {HOSTILE} hostile messages\n")
    assert len(bench.rows()) >= len(BAD)
    assert after < before + MOST_GROWTH_MB
