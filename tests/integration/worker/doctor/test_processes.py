"""`cashback doctor` sees who is there, and names who has died."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from deploy.local.ports import LOCALHOST, free_port
from deploy.local.processes import running, wait_until
from producer.shared.redis.processes import PROCESSES
from tests.integration.worker.doctor.conftest import Diagnosis, Doctor
from tests.support.betcore import CLIENT_ID
from tests.support.receiver import running_receiver
from tests.support.roles import as_role
from tests.support.worker_process import END_SECONDS, wait_until_it_works, worker_process
from worker.schema.roles import WORKER

PART = ("--only", "processes,receiver")


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, socket_timeout=60, decode_responses=True) as made:
        yield made


def fields(client: redis.Redis) -> dict[str, str]:
    found: Any = client.hgetall(PROCESSES)
    return dict(found)


def test_a_worker_is_seen_while_it_lives_and_named_when_it_has_died(
    doctor: Doctor, redis_url: str, database_url: str, tmp_path: Path, client: redis.Redis
) -> None:
    environment = {
        "PATH": "/usr/bin:/bin",
        "CASHBACK_REDIS_URL": redis_url,
        "CASHBACK_DATABASE_URL": as_role(database_url, WORKER),
        "CASHBACK_BETCORE_URL": f"http://{LOCALHOST}:{free_port()}",
        "CASHBACK_BEARER_TOKEN": "static",
        "CASHBACK_TOKEN_CLIENT_ID": CLIENT_ID,
    }

    def look() -> Diagnosis:
        return doctor(*PART, redis_url=redis_url)

    process = worker_process(tmp_path, environment, name="worker")
    with running(process):
        wait_until_it_works(process, redis_url)
        wait_until(lambda: bool(fields(client)), what="it says that it is there", timeout_seconds=END_SECONDS)
        alive = look()
        process.kill()

    assert alive.names("fault") == set()
    assert f":{process.pid}" in alive.of("workers")["what"]
    assert f":{process.pid}" in alive.of("processes")["what"]
    wait_until(
        lambda: "workers_none" in look().names("fault"),
        what="its lease has ended",
        timeout_seconds=END_SECONDS,
    )
    dead = look()
    assert dead.exit_code == 1
    assert f":{process.pid}'s lease ended" in dead.of("workers_none")["what"]


def test_a_receiver_is_seen_and_asked_and_no_more_when_it_has_ended(
    doctor: Doctor, redis_url: str, database_url: str, client: redis.Redis
) -> None:
    with running_receiver(redis_url=redis_url, database_url=database_url) as receiver:
        url = str(receiver.client.base_url)
        wait_until(lambda: bool(fields(client)), what="it says that it is there", timeout_seconds=END_SECONDS)
        found = doctor(*PART, redis_url=redis_url, receiver_url=url)
        assert {"receiver", "processes"} <= found.names("good")
        assert "receiver " in found.of("processes")["what"]

    assert fields(client) == {}
    ended = doctor(*PART, redis_url=redis_url, receiver_url=url)
    assert "receiver_unreachable" in ended.names("fault")


def test_what_others_write_there_breaks_no_look(doctor: Doctor, redis_url: str, client: redis.Redis) -> None:
    client.hset(PROCESSES, mapping={"a": "no JSON", "b": "{}", "c": '{"kind": "worker", "pid": "x"}'})

    found = doctor(*PART, redis_url=redis_url)

    assert found.names("fault") == {"workers_none"}
    assert "processes" in found.names("unchecked")
