"""The worker's health check of docker-compose.yml, against real workers started as the Procfile says."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from honcho.environ import parse_procfile

from deploy.local.environment import ROOT
from deploy.local.processes import ManagedProcess, running, wait_until

READY_SECONDS = 120.0
NAME_IN_CONTAINER = "worker-1@$$(hostname)"


@pytest.fixture
def environment(redis_url: str, database_url: str) -> dict[str, str]:
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
        "CASHBACK_REDIS_URL": redis_url,
        "CASHBACK_DATABASE_URL": database_url,
        # Nothing listens there: a worker must be healthy while BETCORE is away.
        "CASHBACK_BETCORE_URL": "http://127.0.0.1:1",
        "CASHBACK_BEARER_TOKEN": "static",
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
    with running(first), running(second):
        yield [first, second]


def is_healthy(worker: ManagedProcess, environment: dict[str, str]) -> bool:
    """Run the health check with the worker's name on this host for its name in a container."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    kind, command = compose["services"]["worker"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    assert NAME_IN_CONTAINER in command
    here = command.replace(NAME_IN_CONTAINER, f"worker-{worker.pid}@{socket.gethostname()}")
    result = subprocess.run(
        ["/bin/sh", "-c", here],
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
    wait_until(
        lambda: is_healthy(hanging, environment),
        what="the first worker is healthy",
        timeout_seconds=READY_SECONDS,
        process=hanging,
    )

    hanging.freeze()

    assert not is_healthy(hanging, environment)
    # Docker asks several times, too.
    wait_until(
        lambda: is_healthy(working, environment),
        what="the second worker is healthy",
        timeout_seconds=READY_SECONDS,
        process=working,
    )
