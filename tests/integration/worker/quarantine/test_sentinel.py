"""Quarantine where Redis is found through sentinels: the same reading, and the same way back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.valkey import ValkeyServer
from tests.support import bad_messages, command
from tests.support.bad_messages import Bench
from tests.support.sentinel import MASTER, sentinel_of, sentinel_url


@pytest.fixture
def bench(redis_url: str, database_url: str, tmp_path: Path) -> Iterator[Bench]:
    with bad_messages.bench(redis_url, database_url, tmp_path) as made:
        yield made


def test_through_sentinels_a_bad_message_is_kept_and_put_back(
    bench: Bench, valkey_server: ValkeyServer, tmp_path: Path
) -> None:
    with sentinel_of(valkey_server, tmp_path) as port:
        url = sentinel_url(port)
        bench.start_worker(redis_url=url, redis_sentinel_master=MASTER)
        bench.push(b"garbage")
        kept = bench.wait_for_row(b"garbage")

        done = command.run(
            "quarantine",
            "requeue",
            str(kept["quarantine_id"]),
            database_url=bench.database_url,
            redis_url=url,
            redis_sentinel_master=MASTER,
        )

        assert (done.exit_code, done.stderr) == (0, "")
        bench.wait(lambda: bench.rows()[0]["seen_count"] == 2, "it was put back, and kept again")
        bench.credit(481)
