"""The worker's health check of docker-compose.yml, against real workers started as the Procfile says."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from honcho.environ import parse_procfile

from deploy.local.environment import ROOT
from deploy.local.ports import free_port
from deploy.local.processes import ManagedProcess, running, wait_until
from tests.support.betcore import CLIENT_ID, Endpoints, served, signer

READY_SECONDS = 120.0
PORT_IN_CONTAINER = "9100"


@pytest.fixture
def environment(redis_url: str, database_url: str) -> Iterator[dict[str, str]]:
    betcore = Endpoints()
    betcore.publish(signer(1))
    with served(betcore) as betcore_url:
        yield {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
            "CASHBACK_REDIS_URL": redis_url,
            "CASHBACK_DATABASE_URL": database_url,
            "CASHBACK_BETCORE_URL": betcore_url,
            "CASHBACK_BEARER_TOKEN": "static",
            "CASHBACK_TOKEN_CLIENT_ID": CLIENT_ID,
            "CASHBACK_METRICS_PORT": str(free_port()),
        }


@pytest.fixture
def workers(environment: dict[str, str], tmp_path: Path) -> Iterator[list[ManagedProcess]]:
    """Run two workers on this host, side by side and without any setting that tells them apart."""
    command = parse_procfile((ROOT / "Procfile").read_text("utf-8")).processes["worker"]
    first, second = (
        ManagedProcess(
            name=f"worker.{number}",
            argv=["sh", "-c", command],
            log_path=tmp_path / f"worker.{number}.log",
            env=environment,
            cwd=ROOT,
        )
        for number in (1, 2)
    )
    with running(first):
        # So that it has the configured port, and the other one the next.
        wait_until(
            lambda: '"status_served"' in first.log_tail(),
            what="the first worker has its port",
            timeout_seconds=READY_SECONDS,
            process=first,
        )
        with running(second):
            yield [first, second]


def is_healthy(port: str, environment: dict[str, str]) -> bool:
    """Run the health check with the worker's port on this host for its port in a container."""
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]["worker"]
    kind, *command = service["healthcheck"]["test"]
    assert kind == "CMD"
    assert service["environment"]["CASHBACK_METRICS_PORT"] == PORT_IN_CONTAINER
    assert f":{PORT_IN_CONTAINER}/" in command[-1]
    result = subprocess.run(
        [*command[:-1], command[-1].replace(PORT_IN_CONTAINER, port)],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        timeout=READY_SECONDS,
        check=False,
    )
    return result.returncode == 0


def test_a_worker_is_healthy_beside_another_one_that_hangs(
    workers: list[ManagedProcess], environment: dict[str, str]
) -> None:
    hanging, working = workers
    port = environment["CASHBACK_METRICS_PORT"]
    next_port = str(int(port) + 1)
    wait_until(
        lambda: is_healthy(port, environment),
        what="the first worker is healthy",
        timeout_seconds=READY_SECONDS,
        process=hanging,
    )

    hanging.freeze()

    assert not is_healthy(port, environment)
    # Docker asks several times, too.
    wait_until(
        lambda: is_healthy(next_port, environment),
        what="the second worker is healthy",
        timeout_seconds=READY_SECONDS,
        process=working,
    )
