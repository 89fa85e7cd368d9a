"""Redis behind sentinels: the primary dies under load, and every event is answered in time all the same."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest
import redis

from deploy.local.processes import wait_until
from deploy.local.stack import Stack, StackOptions
from deploy.local.valkey import ValkeyServer
from tests.support.sentinel import MASTER, sentinel_of, sentinel_url
from worker.recovery.witness import COMMITS_KEY

MAKES = 90
KILL_AFTER = 30
SECONDS_BETWEEN = 0.05
# Long for the machine, and not for the failover: without one no event would ever be answered.
DEADLINE_SECONDS = 120
TIMES = {"CASHBACK_DEADLINE_SECONDS": str(DEADLINE_SECONDS), "CASHBACK_COPY_TIMEOUT_SECONDS": "5"}
# The deadline, and the time that an expired event takes to be recorded as such.
ENDED_SECONDS = DEADLINE_SECONDS + 60


@dataclass(frozen=True)
class Cluster:
    """A primary, its replica, and the URL of three sentinels."""

    primary: ValkeyServer
    replica: ValkeyServer
    url: str


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with ExitStack() as stack:
        primary = ValkeyServer(tmp_path / "primary").start()
        stack.callback(primary.stop)
        replica = ValkeyServer(
            tmp_path / "replica", options={"replicaof": f"127.0.0.1 {primary.port}"}
        ).start()
        stack.callback(replica.stop)
        ports = [_sentinel(stack, tmp_path / f"sentinel-{number}", primary) for number in range(3)]
        for port in ports:
            with redis.Redis(port=port) as client:
                wait_until(
                    lambda: _knows_the_others(client),
                    what="the sentinels know each other and the replica",
                    timeout_seconds=120,
                )
        yield Cluster(primary, replica, sentinel_url(*ports))


def _sentinel(stack: ExitStack, directory: Path, primary: ValkeyServer) -> int:
    directory.mkdir()
    options = {"down-after-milliseconds": 2000, "failover-timeout": 5000}
    return stack.enter_context(sentinel_of(primary, directory, quorum=2, options=options))


def _knows_the_others(client: redis.Redis) -> bool:
    try:
        state = dict(client.sentinel_master(MASTER))  # type: ignore[arg-type]  # not a bool for one master
    except redis.RedisError:
        return False
    return (state["num-other-sentinels"], state["num-slaves"]) == (2, 1)


@pytest.mark.timeout(600)
def test_a_failover_under_load_loses_nothing_and_misses_no_deadline(
    cluster: Cluster, own_directory: Path
) -> None:
    options = StackOptions(
        directory=own_directory,
        workers=2,
        accounts_csv="user_id,currency,status,balance\n7,EUR,active,0\n",
        simulator_arguments=("--accept-limit-seconds", str(DEADLINE_SECONDS)),
        environ={"CASHBACK_REDIS_URL": cluster.url, "CASHBACK_REDIS_SENTINEL_MASTER": MASTER, **TIMES},
    )
    with Stack(options) as stack, httpx.Client(base_url=stack.simulator_url, timeout=120) as betcore:
        # Given makes that arrive all the time,
        replies = []
        for number in range(1, MAKES + 1):
            if number == KILL_AFTER:
                # when the primary dies in the midst of them,
                cluster.primary.kill()
            order = {"cashback_id": number, "user_id": "7", "amount": "1"}
            replies.append(betcore.post("/sim/makes", json=order).json()["http_status"])
            time.sleep(SECONDS_BETWEEN)
        with psycopg.connect(stack.database_url, autocommit=True) as connection:
            wait_until(
                lambda: _count(connection, "state IN ('received', 'settled')") == 0,
                what="every event has come to its end",
                timeout_seconds=ENDED_SECONDS,
            )
            answered = _count(connection, "state = 'answered' AND code = 200")
            (balance,) = connection.execute(
                "SELECT balance_minor FROM accounts WHERE user_id = '7'"
            ).fetchone() or (None,)
        accepts = betcore.get("/sim/log").json()["accepts"]
        dead = stack.dead_processes()

        # then all were taken, answered in time, and paid once,
        assert replies == [200] * MAKES
        assert answered == MAKES
        assert balance == MAKES * 100
        acknowledged = {accept["cashback_id"] for accept in accepts if accept["acknowledged"]}
        assert acknowledged == set(range(1, MAKES + 1))
        assert not any(accept["late"] for accept in accepts)
        # no process ended, and the workers are back on the queue of the new primary.
        assert dead == []
        with redis.Redis.from_url(cluster.replica.url) as new_primary:
            wait_until(
                lambda: new_primary.info("replication")["role"] == "master",
                what="the replica was promoted",
                timeout_seconds=120,
            )
            wait_until(
                lambda: new_primary.zcard(COMMITS_KEY) > MAKES - KILL_AFTER,
                what="the witness of commits goes on there",
                timeout_seconds=120,
            )
            wait_until(
                lambda: any(client["cmd"] == "blmove" for client in new_primary.client_list()),
                what="a worker waits at the queue of the new primary",
                timeout_seconds=120,
            )


def _count(connection: psycopg.Connection, condition: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM receipts WHERE {condition}").fetchone()  # noqa: S608
    assert row is not None
    return int(row[0])
