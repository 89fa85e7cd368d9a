"""The whole service on one machine: servers, a simulated BETCORE, and the processes of the Procfile."""

import fcntl
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from deploy.local import environment
from deploy.local.environment import (
    ROOT,
    process_environment,
    read_procfile,
    stack_environment,
    with_database_role,
)
from deploy.local.errors import DirectoryInUse, NotReadyInTime, ProcessFailed
from deploy.local.lifetime import Lifetime
from deploy.local.ports import LOCALHOST
from deploy.local.postgres import DATABASE, PostgresServer
from deploy.local.processes import ManagedProcess, wait_until
from deploy.local.stack.options import StackOptions
from deploy.local.stack.ports import choose_ports
from deploy.local.stack.readiness import answers_well, flower_sees_a_worker, ping_times, worker_answers
from deploy.local.valkey import ValkeyServer
from deploy.redis.users import RedisUsers

# Ends of a hang, far above what a slow machine takes.
READY_SECONDS: Final = 300.0
RELEASE_SECONDS: Final = 300.0
COMMAND_SECONDS: Final = 300.0
STOP_SECONDS: Final = 60.0
LOG_DIRECTORY: Final = "log"


class Stack(Lifetime):
    """Runs all of it inside a `with` block, and leaves nothing behind.

    Entering raises a LocalError that names the process and shows the end of its log; whatever had been
    started is stopped again then.
    """

    def __init__(self, options: StackOptions) -> None:
        super().__init__()
        self.options = options
        self.directory = options.directory.resolve()
        self.processes: dict[str, ManagedProcess] = {}
        self.valkey: ValkeyServer | None = None
        self.postgres: PostgresServer | None = None
        self._commands = read_procfile(options.root)
        environ = options.environ
        self.ports = choose_ports(options.first_port)
        self._receiver_port, self._simulator_port, self.flower_port, redis_port, postgres_port = (
            port.number for port in self.ports.values()
        )
        if not environ.get(environment.REDIS_URL):
            self.valkey = ValkeyServer(
                self.directory / "valkey",
                log_path=self.log_path("valkey"),
                port=redis_port,
                users=RedisUsers.made_up(),
            )
        if not environ.get(environment.DATABASE_URL):
            self.postgres = PostgresServer(
                self.directory / "postgres", log_path=self.log_path("postgres"), port=postgres_port
            )
        self.redis_url = self.valkey.url if self.valkey else environ[environment.REDIS_URL]
        self.database_url = self.postgres.url if self.postgres else environ[environment.DATABASE_URL]
        # An own server asks nobody for a password, and each process gets a role of its own.
        roles = {environment.DATABASE_ROLES: DATABASE} if self.postgres else {}
        self.environ = stack_environment(
            {**roles, **environ},
            redis_url=self.redis_url,
            database_url=self.database_url,
            betcore_url=self.simulator_url,
        )

    @property
    def receiver_url(self) -> str:
        """Where BETCORE sends makes: this, and `/cashback-payments/make`."""
        return f"http://{LOCALHOST}:{self._receiver_port}"

    @property
    def simulator_url(self) -> str:
        """The simulated BETCORE."""
        return f"http://{LOCALHOST}:{self._simulator_port}"

    @property
    def flower_url(self) -> str:
        """Flower; it asks for `flower_login`."""
        return f"http://{LOCALHOST}:{self.flower_port}"

    @property
    def flower_login(self) -> str:
        """Flower's login as `user:password`."""
        return self.environ[environment.FLOWER_LOGIN]

    @property
    def log_directory(self) -> Path:
        """Where each process has its log file."""
        return self.directory / LOG_DIRECTORY

    def log_path(self, name: str) -> Path:
        """Return the log file of a process."""
        return self.log_directory / f"{name}.log"

    def dead_processes(self) -> list[ManagedProcess]:
        """Return the processes that should run and do not."""
        return [process for process in self.processes.values() if not process.is_running]

    def add_worker(self) -> ManagedProcess:
        """Start one more worker and return it when it consumes."""
        worker = self._launch_worker()
        self._wait_for_worker(worker)
        return worker

    def command(
        self, *argv: str, timeout_seconds: float = COMMAND_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run a command, such as `cashback show 480`, as the stack's operator and return how it ended."""
        return subprocess.run(  # noqa: S603 -- the caller's own command
            ["/usr/bin/env", *argv],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout_seconds,
            env=with_database_role(self.environ, "command"),
            cwd=self.options.root,
        )

    def _start(self) -> None:
        self._lock_directory()
        for server in (self.valkey, self.postgres):
            if server is not None:
                self._cleanup.callback(server.stop)
        self._cleanup.callback(self._stop_all)
        self._start_servers()
        self._run_to_the_end("release", self._shell("release"))
        if self.options.accounts_csv is not None:
            self._import_accounts(self.options.accounts_csv)
        # All are started before any is waited for: most of their start is work of one core each.
        web = self._launch("web", self._shell("web"), port=self._receiver_port)
        workers = [self._launch_worker() for _ in range(self.options.workers)]
        flower = (
            self._launch("flower", self._shell("flower"), port=self.flower_port)
            if self.options.flower
            else None
        )
        self._wait(web, lambda: answers_well(self._receiver_port, "/readyz"), "the receiver is ready")
        for worker in workers:
            self._wait_for_worker(worker)
        if flower is not None:
            self._wait(flower, lambda: answers_well(self.flower_port, "/healthcheck"), "Flower answers")
        if flower is not None and workers:
            self._wait(flower, lambda: flower_sees_a_worker(self.flower_port), "Flower sees the workers")

    def _start_servers(self) -> None:
        if self.valkey is not None:
            self.processes["valkey"] = self.valkey.process
            self.valkey.launch()
        # From this package's own root: it is no part of what the Procfile describes.
        simulator = self._launch("simulator", self._simulator_command(), cwd=ROOT)
        if self.postgres is not None:
            self.postgres.launch()
            self.processes["postgres"] = self.postgres.process
            self.postgres.wait_ready()
        if self.valkey is not None:
            self.valkey.wait_ready()
        self._wait(simulator, lambda: answers_well(self._simulator_port, "/healthz"), "the simulator answers")

    def _simulator_command(self) -> list[str]:
        where = ("--port", str(self._simulator_port), "--partner-url", self.receiver_url)
        return [sys.executable, "-m", "deploy.local.simulator", *where, *self.options.simulator_arguments]

    def _import_accounts(self, text: str) -> None:
        path = self.directory / "accounts.csv"
        path.write_text(text, "utf-8")
        self._run_to_the_end("accounts", ["cashback", "accounts", "import", str(path)])

    def _run_to_the_end(self, name: str, argv: list[str]) -> None:
        process = self._new_process(name, argv)
        self._cleanup.callback(process.kill)
        process.start()
        try:
            process.wait(timeout_seconds=RELEASE_SECONDS)
        except NotReadyInTime as error:
            raise NotReadyInTime(f"{error}:\n{process.log_tail()}") from None
        if process.returncode != 0:
            raise ProcessFailed(f"{name} ended with status {process.returncode}:\n{process.log_tail()}")

    def _launch_worker(self) -> ManagedProcess:
        number = 1 + sum(name.startswith("worker.") for name in self.processes)
        return self._launch(f"worker.{number}", self._shell("worker"))

    def _launch(
        self, name: str, argv: list[str], *, port: int | None = None, cwd: Path | None = None
    ) -> ManagedProcess:
        process = self._new_process(name, argv, port=port, cwd=cwd)
        self.processes[name] = process
        process.start()
        return process

    def _new_process(
        self, name: str, argv: list[str], *, port: int | None = None, cwd: Path | None = None
    ) -> ManagedProcess:
        return ManagedProcess(
            name=name,
            argv=argv,
            log_path=self.log_path(name),
            env=process_environment(
                self.environ, name, users=self.valkey.users if self.valkey else None, port=port
            ),
            cwd=cwd or self.options.root,
        )

    def _shell(self, name: str) -> list[str]:
        return ["/bin/sh", "-c", self._commands[name]]

    def _wait_for_worker(self, worker: ManagedProcess) -> None:
        master = self.environ.get(environment.REDIS_SENTINEL_MASTER) or "mymaster"
        times = ping_times()

        def answers() -> bool:
            return worker_answers(
                self.redis_url, worker.pid, sentinel_master=master, ping_seconds=next(times)
            )

        self._wait(worker, answers, f"{worker.name} answers a ping")

    @staticmethod
    def _wait(process: ManagedProcess, check: Callable[[], bool], what: str) -> None:
        wait_until(check, what=what, timeout_seconds=READY_SECONDS, process=process)

    def _lock_directory(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        lock = self._cleanup.enter_context((self.directory / "stack.lock").open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DirectoryInUse(
                f"another stack runs in {self.directory}: end it first, or name another --directory"
            ) from None

    def _stop_all(self) -> None:
        servers = {"valkey", "postgres", "simulator"}
        # What serves others goes last: the simulator takes the answers of workers that are finishing.
        _stop(process for name, process in self.processes.items() if name not in servers)
        _stop(process for name, process in self.processes.items() if name in servers)


def _stop(processes: Iterable[ManagedProcess]) -> None:
    stopping = list(processes)
    with ThreadPoolExecutor(max_workers=max(1, len(stopping))) as pool:
        for _ in pool.map(lambda process: process.stop(timeout_seconds=STOP_SECONDS), stopping):
            continue
