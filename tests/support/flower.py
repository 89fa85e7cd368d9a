"""A Flower of its own, as the Procfile starts it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from honcho.environ import parse_procfile

from deploy.local.environment import ROOT
from deploy.local.ports import LOCALHOST, free_port
from deploy.local.processes import ManagedProcess, running, wait_until

BIN = Path(sys.executable).parent
FIRST, SECOND = ("lookout", "correct-horse"), ("night", "battery:staple")
READY_SECONDS = 120.0


def flower_command() -> list[str]:
    """Return what the Procfile says."""
    return ["sh", "-c", parse_procfile((ROOT / "Procfile").read_text("utf-8")).processes["flower"]]


def environment(**settings: str) -> dict[str, str]:
    """Return the environment of a Flower that was given these settings and nothing else."""
    return {"PATH": f"{BIN}{os.pathsep}{os.defpath}", **settings}


@contextmanager
def running_flower(log_path: Path, redis_url: str) -> Iterator[httpx.Client]:
    """Run a Flower with two logins that is told to leave its API open, behind proxies on this machine."""
    port = free_port()
    process = ManagedProcess(
        name="flower",
        argv=flower_command(),
        log_path=log_path,
        env=environment(
            PORT=str(port),
            CASHBACK_REDIS_URL=redis_url,
            CASHBACK_FLOWER_BASIC_AUTH=f"{':'.join(FIRST)}, {':'.join(SECOND)}",
            CASHBACK_FLOWER_TRUSTED_PROXIES="127.0.0.0/8",
            FLOWER_UNAUTHENTICATED_API="true",
            FLOWER_BASIC_AUTH="stranger:stranger1",
        ),
        cwd=ROOT,
    )
    with running(process), httpx.Client(base_url=f"http://{LOCALHOST}:{port}", timeout=60) as client:
        wait_until(
            lambda: _answers(client), what="Flower answers", timeout_seconds=READY_SECONDS, process=process
        )
        yield client


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthcheck").status_code == httpx.codes.OK
    except httpx.TransportError:
        # Not listening yet.
        return False
