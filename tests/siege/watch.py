"""The receiver as the machine sees it, and the cores that it and the others run on."""

import os
import threading
import time
from dataclasses import dataclass
from typing import Final, Self

import psutil  # type: ignore[import-untyped]  # ships no type information

from deploy.local.processes import ManagedProcess
from tests.siege.figures import Look

_LOOK_SECONDS: Final = 0.05
_MB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """Where the processes run: receiver and honest makes on one core, the attacker on the other."""

    service: int | None
    attacker: int | None

    @classmethod
    def of_this_machine(cls) -> Self:
        """Return two cores that may be used; the same one twice where there is no other."""
        if not hasattr(os, "sched_getaffinity"):
            return cls(service=None, attacker=None)
        cores = sorted(os.sched_getaffinity(0))
        return cls(service=cores[0], attacker=cores[-1])


class Watch:
    """Looks at a process and its log every few moments, until it is told to stop or the process is gone."""

    def __init__(self, process: ManagedProcess) -> None:
        self._process = psutil.Process(process.pid)
        self._log_path = process.log_path
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.looks: list[Look] = [self._look()]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(_LOOK_SECONDS):
            try:
                self.looks.append(self._look())
            except psutil.NoSuchProcess:
                return

    def _look(self) -> Look:
        with self._process.oneshot():
            times = self._process.cpu_times()
            return Look(
                at=time.monotonic(),
                rss_mb=self._process.memory_info().rss / _MB,
                cpu_seconds=times.user + times.system,
                log_bytes=self._log_path.stat().st_size,
            )
