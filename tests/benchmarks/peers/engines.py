"""The same job on dramatiq, taskiq and arq, each with the settings to try and how its workers are started."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

import psycopg

from deploy.local.processes import ManagedProcess
from tests.benchmarks.peers import queues
from tests.benchmarks.peers.contender import Progress, wait_for
from tests.benchmarks.peers.environment import CONCURRENCY, MODE
from tests.benchmarks.peers.ours import accepts, check_books, run_step
from tests.benchmarks.rig import Rig

_PEERS: Final = "tests.benchmarks.peers"
_READY: Final = (
    "SELECT count(DISTINCT application_name) FROM pg_stat_activity WHERE application_name LIKE 'peer-%'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How many jobs a process of a peer runs at once, and which of the engine's ways to run them it takes."""

    concurrency: int
    mode: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A peer: the engine's own workers with the job of job.py."""

    engine: str
    setting: Setting

    @property
    def name(self) -> str:
        """The engine and its setting."""
        return f"{self.engine} ({self.setting.mode}, {self.setting.concurrency} at once)"

    def at(self, setting: Setting) -> Self:
        """Return the same peer with another setting."""
        return replace(self, setting=setting)

    def reset(self, rig: Rig) -> None:
        """Empty all."""
        rig.reset()

    def start(self, rig: Rig, *, processes: int) -> list[ManagedProcess]:
        """Start the engine's worker command; arq has one process per command."""
        commands = [self._argv(rig, processes=processes)] * (processes if self.engine == "arq" else 1)
        environment = self._environment(rig)
        workers = [
            rig.start(f"{self.engine}.{number}", argv, environment) for number, argv in enumerate(commands, 1)
        ]
        what = f"{processes} processes of {self.engine} are connected"
        wait_for(lambda: _ready_processes(rig) >= processes, workers, what=what)
        return workers

    def fill(self, rig: Rig, tokens: Sequence[str], *, first_cashback_id: int) -> None:
        """Record the receipts as the receiver does, and send the messages with the engine's own client."""
        messages = queues.received_now(tokens)
        queues.record_receipts(rig.database_url, messages, first_cashback_id=first_cashback_id)
        run_step(
            [self._python(rig), "-m", f"{_PEERS}.fill", self.engine],
            self._environment(rig),
            what=f"{self.engine}'s queue is filled",
            content="\n".join(message.model_dump_json() for message in messages),
        )

    def progress(self, rig: Rig, cashbacks: range) -> Progress:
        """Count the accepts."""
        return accepts(rig, cashbacks)

    def check(self, rig: Rig, *, events: int) -> None:
        """Look at the ledger and the receipts."""
        check_books(rig, events=events)

    def _python(self, rig: Rig) -> str:
        return rig.arq_python if self.engine == "arq" else sys.executable

    def _argv(self, rig: Rig, *, processes: int) -> list[str]:
        command = str(Path(self._python(rig)).parent / self.engine)
        jobs = str(self.setting.concurrency)
        if self.engine == "dramatiq":
            return [
                command,
                f"{_PEERS}.dramatiq_peer:set_up",
                "--processes",
                str(processes),
                "--threads",
                jobs,
            ]
        if self.engine == "arq":
            return [command, f"{_PEERS}.arq_peer.WorkerSettings"]
        options = ["--max-async-tasks", jobs, "--max-prefetch", jobs, "--max-threadpool-threads", jobs]
        workers = ["--workers", str(processes), "--log-level", "WARNING"]
        return [command, "worker", f"{_PEERS}.taskiq_peer:create_broker", *workers, *options]

    def _environment(self, rig: Rig) -> dict[str, str]:
        own = {
            CONCURRENCY: str(self.setting.concurrency),
            MODE: self.setting.mode,
            "CASHBACK_BEARER_TOKEN": "bench",
        }
        environment = {**rig.environment(), **own}
        # Its own environment's commands come first, not the runner's.
        environment["PATH"] = f"{Path(self._python(rig)).parent}{os.pathsep}{environment['PATH']}"
        return environment


def _ready_processes(rig: Rig) -> int:
    with psycopg.connect(rig.database_url) as connection:
        row = connection.execute(_READY).fetchone()
    return int(row[0]) if row else 0


# What is tried; a quick run takes the first of each. Where this was written, these were no better: dramatiq
# with 4, 12 or 24 threads, taskiq's list with threads, arq with 50 coroutines or 8 threads.
ENGINES: Final = {
    "dramatiq": (Setting(concurrency=8, mode="threads"), Setting(concurrency=16, mode="threads")),
    "taskiq": (
        Setting(concurrency=20, mode="stream-async"),
        Setting(concurrency=16, mode="stream-threads"),
        Setting(concurrency=20, mode="list-async"),
    ),
    "arq": (Setting(concurrency=20, mode="async"), Setting(concurrency=16, mode="threads")),
}
