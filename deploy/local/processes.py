"""Child processes under full control: started, watched, stopped, killed, frozen, and never left behind."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped]  # ships no type information

from deploy.local.errors import (
    NotReadyInTime,
    ProcessAlreadyRuns,
    ProcessDied,
    ProcessNotRunning,
)

LOG_TAIL_LINES: Final = 20
LOG_LIMIT_BYTES: Final = 32 * 1024 * 1024
# Ends of a hang, far above what a slow machine takes.
STOP_SECONDS: Final = 60.0
_KILL_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.02
_LAUNCHER: Final = Path(__file__).with_name("launch.py")

# Linux ties a child's life to the *thread* that started it (prctl(2)), so all children are started by this
# one, which lives as long as the process. It begins with the first child.
_spawner: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


class ManagedProcess:
    """One child process in a process group of its own, whose output goes to a log file.

    Ctrl-C in the terminal reaches the supervisor alone. On Linux the child is killed when the supervisor
    dies, however that happens. `user` is the system user to run as (needs root). `stop_signal` is what
    asks the program to end in good order.
    """

    def __init__(  # noqa: PLR0913 -- the parts of a process, keyword-only
        self,
        *,
        name: str,
        argv: Sequence[str],
        log_path: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: str | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.log_path = log_path
        self._argv = tuple(argv)
        self._env = dict(env) if env is not None else None
        self._cwd = cwd
        self._user = user
        self._stop_signal = stop_signal
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the current or last run; raises ProcessNotRunning before the first."""
        return self._started().pid

    @property
    def returncode(self) -> int | None:
        """How the last run ended (negative: by that signal); None while it runs and before the first."""
        return self._popen.poll() if self._popen is not None else None

    @property
    def is_running(self) -> bool:
        """Whether the process is there; a frozen one is."""
        return self._popen is not None and self._popen.poll() is None

    def start(self) -> None:
        """Start the program; raises ProcessAlreadyRuns. Ready it is a little later."""
        if self.is_running:
            raise ProcessAlreadyRuns(f"{self.name} already runs")
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_LIMIT_BYTES:
            self.log_path.replace(self.log_path.with_suffix(".old.log"))
        _spawner.submit(self._spawn).result()

    def stop(
        self, *, timeout_seconds: float = STOP_SECONDS, stop_signal: signal.Signals | None = None
    ) -> int | None:
        """Ask the program to end, kill it if it has not after `timeout_seconds`; return its return code.

        Does nothing to a process that has ended. Whatever else is in its group is killed.
        """
        family = self._family() if self.is_running else []
        if family:
            self._signal_group(stop_signal or self._stop_signal)
            for member in family:
                _signal(member, signal.SIGCONT)  # a frozen process does not even end
            with contextlib.suppress(NotReadyInTime):  # it is killed below instead
                self.wait(timeout_seconds=timeout_seconds)
        self.kill()
        # Where the leader has ended by itself, its children may be on their way out still.
        for member in family:
            _signal(member, signal.SIGKILL)
        _wait_for_all(family, _is_gone, what=f"{self.name} and its children are gone")
        return self.returncode

    def kill(self) -> None:
        """Kill the process, its group and all that descends from it (SIGKILL), and wait until it is gone."""
        if self._popen is None:
            return
        family = self._stopped_family() if self.is_running else []
        for member in family:
            _signal(member, signal.SIGKILL)
        self._signal_group(signal.SIGKILL)
        self.wait(timeout_seconds=_KILL_SECONDS)
        _wait_for_all(family, _is_gone, what=f"{self.name} and its children are gone")

    def freeze(self) -> None:
        """Stop the process and its descendants where they stand (SIGSTOP); raises ProcessNotRunning."""
        self._require_running()
        family = self._stopped_family()
        # The signal is on its way; the caller may count on it that nothing moves any more.
        _wait_for_all(family, _stands_still, what=f"{self.name} stands still")

    def thaw(self) -> None:
        """Let a frozen process go on (SIGCONT); raises ProcessNotRunning."""
        self._require_running()
        for member in reversed(self._family()):
            _signal(member, signal.SIGCONT)

    def wait(self, *, timeout_seconds: float) -> int:
        """Wait for the end and return the return code; raises NotReadyInTime while it still runs."""
        try:
            return self._started().wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            raise NotReadyInTime(f"{self.name} has not ended after {timeout_seconds:g} s") from None

    def log_tail(self, *, lines: int = LOG_TAIL_LINES) -> str:
        """Return the last lines of the log file (of at most its last 64 KiB)."""
        if not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as log:
            log.seek(max(0, self.log_path.stat().st_size - 65_536))
            return "\n".join(log.read().decode("utf-8", "replace").splitlines()[-lines:])

    def _spawn(self) -> None:
        launch = [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), self._user or "", *self._argv]
        with self.log_path.open("ab") as log:
            self._popen = subprocess.Popen(  # noqa: S603 -- the commands are the stack's own
                launch,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                cwd=self._cwd,
                process_group=0,
            )

    def _started(self) -> subprocess.Popen[bytes]:
        if self._popen is None:
            raise ProcessNotRunning(f"{self.name} has not been started")
        return self._popen

    def _require_running(self) -> None:
        if not self.is_running:
            raise ProcessNotRunning(f"{self.name} does not run")

    def _family(self) -> list[psutil.Process]:
        try:
            leader = psutil.Process(self.pid)
            _signal(leader, 0)
            return [leader, *leader.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _stopped_family(self) -> list[psutil.Process]:
        """Stop the process and its descendants, those too that it was just starting; return them all."""
        stopped: list[psutil.Process] = []
        while fresh := [member for member in self._family() if member not in stopped]:
            for member in fresh:
                _signal(member, signal.SIGSTOP)
            stopped += fresh
        return stopped

    def _signal_group(self, number: signal.Signals) -> None:
        if not self.is_running and psutil.pid_exists(self.pid):
            return  # the number is another process's by now, which it can only be when our group is empty
        with contextlib.suppress(ProcessLookupError):  # nobody is left in the group
            os.killpg(self.pid, number)


def _is_gone(process: psutil.Process) -> bool:
    # A zombie holds nothing any more: it waits for its parent, or for init, to take note.
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _stands_still(process: psutil.Process) -> bool:
    return _is_gone(process) or process.status() == psutil.STATUS_STOPPED


def _wait_for_all(
    family: Sequence[psutil.Process], check: Callable[[psutil.Process], bool], *, what: str
) -> None:
    wait_until(lambda: all(check(member) for member in family), what=what, timeout_seconds=_KILL_SECONDS)


def _signal(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):  # it ended by itself
        process.send_signal(number)


def wait_until(
    check: Callable[[], bool], *, what: str, timeout_seconds: float, process: ManagedProcess | None = None
) -> None:
    """Wait until `check()` is true.

    Raises NotReadyInTime, or ProcessDied as soon as `process` ends; the error says `what` was waited for
    and shows the end of the process's log.
    """
    ends_at = time.monotonic() + timeout_seconds
    while not check():
        if process is not None and not process.is_running:
            tail = process.log_tail()
            raise ProcessDied(f"{process.name} ended with status {process.returncode} before {what}:\n{tail}")
        if time.monotonic() >= ends_at:
            tail = f":\n{process.log_tail()}" if process is not None else ""
            raise NotReadyInTime(f"not within {timeout_seconds:g} s: {what}{tail}")
        time.sleep(_POLL_SECONDS)


@contextlib.contextmanager
def running(process: ManagedProcess) -> Iterator[ManagedProcess]:
    """Start a process and stop it at the end of the block."""
    process.start()
    try:
        yield process
    finally:
        process.stop()
