"""Everything that a scenario may break, with proxies between: two servers, the stack, and its workers."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import redis

from cashback_client.contract import QUEUE, RETRY_QUEUE
from deploy.local.demo.run import clear_directory, demo_environment
from deploy.local.environment import (
    DATABASE_ROLES,
    DATABASE_URL,
    REDIS_URL,
    ROOT,
    read_procfile,
    with_database_role,
)
from deploy.local.lifetime import Lifetime
from deploy.local.ports import LOCALHOST
from deploy.local.postgres import DATABASE, PostgresServer
from deploy.local.processes import ManagedProcess, wait_until
from deploy.local.stack import Stack, StackOptions
from deploy.local.stack.readiness import answers_well, worker_answers
from deploy.local.valkey import ValkeyServer
from deploy.redis.users import RedisUsers
from tests.faults.proxy import PASS, Proxy
from tests.support.simulated import LOG_LIMIT, Simulated

BETCORE_URL: Final = "CASHBACK_BETCORE_URL"
# Ends of a hang, far above what a slow machine takes.
READY_SECONDS: Final = 120.0
STOP_SECONDS: Final = 60.0
# A worker that has not consumed by then is wedged.
_WEDGED_SECONDS: Final = 30.0
# From its sending to its receipt a make may take so long; this is not the receiver's time to count.
TRANSIT_SECONDS: Final = 1.0
_TIMEOUT_SECONDS: Final = 60.0


# No setting switches it off: see there.
NO_SHEDDING: Final = {"PYTHONPATH": str(Path(__file__).with_name("shedding") / "off")}


@dataclass(frozen=True, slots=True, kw_only=True)
class RigOptions:
    """What to run. Times are the product's own settings, in seconds; `settings` are further ones."""

    directory: Path
    accounts_csv: str
    deadline_seconds: float
    reserve_seconds: float
    workers: int = 2
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def cutoff_seconds(self) -> float:
        """From receipt to the credit cut-off."""
        return self.deadline_seconds - self.reserve_seconds


class Rig(Simulated, Lifetime):
    """Runs it all inside a `with` block. Each receiver and worker has a proxy of its own to each server."""

    def __init__(self, options: RigOptions) -> None:
        super().__init__()
        self.options = options
        directory = options.directory.resolve()
        clear_directory(directory)
        log = directory / "log"
        self._users = RedisUsers.made_up()
        self.valkey = ValkeyServer(directory / "valkey", log_path=log / "valkey.log", users=self._users)
        self.postgres = PostgresServer(directory / "postgres", log_path=log / "postgres.log")
        self.valkey_directory = directory / "valkey"
        self.door_redis = Proxy(target_port=self.valkey.port)
        self.door_database = Proxy(target_port=self.postgres.port)
        self.worker_redis = Proxy(target_port=self.valkey.port)
        self.worker_database = Proxy(target_port=self.postgres.port)
        self.workers: list[ManagedProcess] = []
        self._log_directory = log
        self._commands = read_procfile(ROOT)
        self.stack = Stack(self._stack_options(directory))
        self.worker_betcore = Proxy(target_port=int(self.stack.simulator_url.rpartition(":")[2]))

    @property
    def proxies(self) -> tuple[Proxy, ...]:
        """All proxies."""
        return (
            self.door_redis,
            self.door_database,
            self.worker_redis,
            self.worker_database,
            self.worker_betcore,
        )

    @property
    def receiver(self) -> ManagedProcess:
        """The receiver's process."""
        return self.stack.processes["web"]

    @property
    def simulator_url(self) -> str:
        """The simulated BETCORE itself, past the proxy."""
        return self.stack.simulator_url

    @property
    def database_url(self) -> str:
        """PostgreSQL itself, past the proxies."""
        return self.postgres.url

    @property
    def partner_redis_url(self) -> str:
        """Redis itself, past the proxies, with the login of a partner service."""
        return self._users.url("partner", self.valkey.url)

    def new_worker(self, *, name: str, settings: dict[str, str] | None = None) -> ManagedProcess:
        """Return a worker process of the Procfile, not started, with `settings` of its own."""
        return self._process("worker", name=name, settings=settings)

    def new_receiver(self, *, name: str, settings: dict[str, str]) -> ManagedProcess:
        """Return a receiver on the receiver's port, not started, with `settings` of its own."""
        port = self.stack.receiver_url.rpartition(":")[2]
        servers = {REDIS_URL: self.stack.redis_url, DATABASE_URL: self.stack.database_url}
        return self._process("web", name=name, settings={**servers, **settings, "PORT": port})

    def stop_workers(self) -> None:
        """Stop all workers in good order, side by side."""
        with ThreadPoolExecutor(len(self.workers)) as pool:
            # Read to the end, so that what failed is raised.
            list(pool.map(lambda worker: worker.stop(timeout_seconds=STOP_SECONDS), self.workers))

    def wait_for_worker(self, worker: ManagedProcess) -> None:
        """Wait until a worker consumes; raises NotReadyInTime, ProcessDied."""
        what, seconds = f"{worker.name} answers a ping", READY_SECONDS
        wait_until(
            lambda: _consumes(worker, self.valkey.url), what=what, timeout_seconds=seconds, process=worker
        )

    def wait_for_receiver(self, receiver: ManagedProcess | None = None) -> None:
        """Wait until the receiver can take makes; raises NotReadyInTime, ProcessDied."""
        port = int(self.stack.receiver_url.rpartition(":")[2])
        wait_until(
            lambda: answers_well(port, "/readyz"),
            what="the receiver is ready",
            timeout_seconds=READY_SECONDS,
            process=receiver or self.receiver,
        )

    def heal(self) -> list[str]:
        """Bring back whatever does not work, and return what did not come back by itself."""
        for proxy in self.proxies:
            proxy.behave(PASS)
        self.simulate(accept="ok", token="ok", jwks="ok", verify="ok")
        sick = []
        for process in (self.receiver, *self.workers):
            if not process.is_running:
                sick.append(f"{process.name} does not run")
                process.start()
        for worker in self.workers:
            if not _answers_before(worker, self.valkey.url, time.monotonic() + _WEDGED_SECONDS):
                sick.append(f"{worker.name} does not consume")
                worker.kill()
                worker.start()
                self.wait_for_worker(worker)
        self.wait_for_receiver()
        # What is left in the queues must not weigh on the next scenario.
        wait_until(self._are_queues_empty, what="the queues are empty", timeout_seconds=READY_SECONDS)
        return sick

    def _are_queues_empty(self) -> bool:
        with redis.Redis.from_url(self.valkey.url, socket_timeout=_TIMEOUT_SECONDS) as client:
            return not client.exists(QUEUE, RETRY_QUEUE)

    def _start(self) -> None:
        self._cleanup.callback(self.valkey.stop)
        self._cleanup.callback(self.postgres.stop)
        self.valkey.launch()
        self.postgres.launch()
        for proxy in self.proxies:
            self._cleanup.enter_context(proxy)
        self.valkey.wait_ready()
        self.postgres.wait_ready()
        self._cleanup.enter_context(self.stack)
        for number in range(self.options.workers):
            worker = self.new_worker(name=f"worker.{number + 1}")
            self.workers.append(worker)
            self._cleanup.callback(worker.stop, timeout_seconds=STOP_SECONDS)
            worker.start()
        for worker in self.workers:
            self.wait_for_worker(worker)

    def _stack_options(self, directory: Path) -> StackOptions:
        options = self.options
        environ = demo_environment(os.environ) | {
            REDIS_URL: self._users.url("receiver", f"redis://{LOCALHOST}:{self.door_redis.port}/0"),
            DATABASE_URL: f"postgresql://postgres@{LOCALHOST}:{self.door_database.port}/{DATABASE}",
            DATABASE_ROLES: DATABASE,
            "CASHBACK_DEADLINE_SECONDS": str(options.deadline_seconds),
            "CASHBACK_ANSWER_RESERVE_SECONDS": str(options.reserve_seconds),
            # As it is by default: the demo lets every make in, and here the limit is what is tried.
            "CASHBACK_SHED_WAIT_SECONDS": "",
            **options.settings,
        }
        limit_seconds = options.deadline_seconds + TRANSIT_SECONDS
        return StackOptions(
            directory=directory,
            workers=0,
            flower=False,
            accounts_csv=options.accounts_csv,
            simulator_arguments=(
                *("--accept-limit-seconds", str(limit_seconds)),
                *("--log-limit", str(LOG_LIMIT)),
                *("--make-timeout-seconds", "5"),
            ),
            environ=environ,
        )

    def _process(self, command: str, *, name: str, settings: dict[str, str] | None) -> ManagedProcess:
        own = {
            REDIS_URL: self._users.url("worker", f"redis://{LOCALHOST}:{self.worker_redis.port}/0"),
            DATABASE_URL: f"postgresql://postgres@{LOCALHOST}:{self.worker_database.port}/{DATABASE}",
            BETCORE_URL: self.worker_betcore.url,
        }
        return ManagedProcess(
            name=name,
            argv=["/bin/sh", "-c", self._commands[command]],
            log_path=self._log_directory / f"{name}.log",
            env=with_database_role({**self.stack.environ, **own, **(settings or {})}, command),
            cwd=ROOT,
        )


def _consumes(worker: ManagedProcess, redis_url: str) -> bool:
    try:
        return worker_answers(redis_url, worker.pid)
    except redis.RedisError:
        # The ping's pooled connection ended with the last run of the server; the next ping has a new one.
        return False


def _answers_before(worker: ManagedProcess, redis_url: str, ends_at: float) -> bool:
    while time.monotonic() < ends_at:
        if _consumes(worker, redis_url):
            return True
    return False
