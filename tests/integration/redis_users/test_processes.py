"""The service itself under its users: each process does its work, and nobody is refused anything."""

import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
import redis

from deploy.local.environment import ROOT, process_environment
from deploy.local.processes import ManagedProcess, wait_until
from deploy.local.stack import Stack, StackOptions
from producer.shared.redis.processes import PROCESSES
from tests.support.redis_users import Server

ACCOUNTS = "user_id,currency,status,balance\n7,EUR,active,0\n"
WAIT_SECONDS = 240.0


@pytest.fixture
def stack(own_directory: Path) -> Iterator[Stack]:
    with Stack(StackOptions(directory=own_directory, accounts_csv=ACCOUNTS)) as stack:
        yield stack


def log_of(stack: Stack) -> dict[str, list[dict[str, object]]]:
    log: dict[str, list[dict[str, object]]] = httpx.get(f"{stack.simulator_url}/sim/log").json()
    return log


def acknowledged(stack: Stack) -> list[dict[str, object]]:
    return [entry for entry in log_of(stack)["accepts"] if entry["acknowledged"]]


def make(stack: Stack, cashback_id: int) -> None:
    order = {"cashback_id": cashback_id, "user_id": "7", "amount": "10.00"}
    reply = httpx.post(f"{stack.simulator_url}/sim/makes", json=order, timeout=60).json()["reply"]
    assert reply == {"ErrorCode": 200, "Message": "Success"}
    wait_until(
        lambda: any(entry["cashback_id"] == cashback_id for entry in acknowledged(stack)),
        what="the accept is acknowledged",
        timeout_seconds=WAIT_SECONDS,
    )


def users_there(client: redis.Redis) -> set[str]:
    return {each["user"] for each in client.client_list()}


def test_each_process_of_the_stack_does_its_work_as_a_user_of_its_own(stack: Stack) -> None:
    assert stack.valkey is not None
    with redis.Redis.from_url(stack.redis_url) as operator:
        server = Server(stack.valkey, operator)
        make(stack, 480)
        user, _, password = stack.flower_login.partition(":")
        with httpx.Client(base_url=stack.flower_url, auth=(user, password), timeout=60) as flower:
            worker = f"worker-{stack.processes['worker.1'].pid}@"
            assert worker in flower.get("/workers").text
            assert "cashback" in flower.get("/broker").text
            name = next(each for each in flower.get("/api/workers?refresh=1").json() if worker in each)
            detail = flower.get(f"/worker/{name}")
            assert detail.status_code == httpx.codes.OK

        assert users_there(operator) >= {"cashback-receiver", "cashback-worker", "cashback-flower"}
        health = ManagedProcess(
            name="health",
            argv=[sys.executable, "-m", "deploy.flower_health"],
            log_path=stack.log_path("health"),
            env=process_environment(
                stack.environ, "flower", users=stack.valkey.users, port=stack.flower_port
            ),
            cwd=ROOT,
        )
        health.start()
        assert health.wait(timeout_seconds=WAIT_SECONDS) == 0, health.log_tail()
        # What they do when they leave belongs to it.
        assert operator.hlen(PROCESSES) == 2
        for name in ("flower", "worker.1", "web"):
            stack.processes[name].stop()
        assert operator.hlen(PROCESSES) == 0
        assert server.refused() == set()
    assert Decimal(str(acknowledged(stack)[0]["amount"])) == 10
