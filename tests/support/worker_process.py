"""A real worker process that a test starts, and what it can be asked."""

import sys
from pathlib import Path
from typing import Final

from deploy.local.environment import ROOT
from deploy.local.processes import ManagedProcess, running, wait_until
from deploy.local.stack.readiness import worker_answers

# The end of a hang, far above what a slow machine takes.
END_SECONDS: Final = 240.0
_WORKER: Final = ["worker", "--hostname", "worker-{pid}@%h", "--without-gossip", "--without-mingle"]


def worker_process(
    directory: Path, environment: dict[str, str], *, name: str, before: str = ""
) -> ManagedProcess:
    """Return a worker, not started; `before` is Python that it runs first."""
    code = (
        f"import os, sys\n{before}\n"
        "sys.argv = ['celery', '--app', 'worker.app', "
        f"*(each.format(pid=os.getpid()) for each in {_WORKER})]\n"
        "from celery.__main__ import main\nsys.exit(main())\n"
    )
    return ManagedProcess(
        name=name,
        argv=[sys.executable, "-c", code],
        log_path=directory / f"{name}.log",
        env=environment,
        cwd=ROOT,
    )


def ended(process: ManagedProcess) -> tuple[int, str]:
    """Wait for the end; return the status and the last line."""
    with running(process):
        status = process.wait(timeout_seconds=END_SECONDS)
    return status, process.log_tail(lines=1)


def wait_until_it_works(process: ManagedProcess, redis_url: str) -> None:
    """Wait until a worker consumes; raises NotReadyInTime, ProcessDied."""
    # A ping that comes before the worker says so is lost, and its answer waited for.
    wait_until(
        lambda: _says_that_it_is_ready(process) and worker_answers(redis_url, process.pid),
        what=f"{process.name} works",
        timeout_seconds=END_SECONDS,
        process=process,
    )


def _says_that_it_is_ready(process: ManagedProcess) -> bool:
    return ' ready."' in process.log_path.read_text("utf-8", "replace")
