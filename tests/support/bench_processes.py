"""Processes of the benchmarks, for tests: BETCORE as cheap as can be, and whatever else is started."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.environment import ROOT
from deploy.local.ports import LOCALHOST, free_port
from deploy.local.processes import ManagedProcess, running, wait_until
from deploy.local.stack.readiness import answers_well
from tests.benchmarks.betcore import STATE_PATH
from tests.benchmarks.tokens import TokenStore


@contextmanager
def started(
    tmp_path: Path, name: str, *argv: str, env: dict[str, str] | None = None
) -> Iterator[ManagedProcess]:
    """Run a module of the benchmarks, with its log beside its data."""
    log = tmp_path / f"{name}.log"
    with running(
        ManagedProcess(name=name, argv=[sys.executable, *argv], log_path=log, env=env, cwd=ROOT)
    ) as process:
        yield process


@contextmanager
def betcore(tmp_path: Path, store: TokenStore) -> Iterator[str]:
    """Run the cheap BETCORE and give its URL."""
    port, keys = free_port(), tmp_path / "jwks.json"
    keys.write_bytes(store.key_set())
    with started(tmp_path, "betcore", "-m", "tests.benchmarks.betcore", str(port), str(keys)) as process:
        wait_until(
            lambda: answers_well(port, STATE_PATH), what="it serves", timeout_seconds=120, process=process
        )
        yield f"http://{LOCALHOST}:{port}"
