"""Where all tables are measured: real servers, a cheap BETCORE, accounts, and processes on one machine."""

import fcntl
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import redis

from deploy.local.environment import ROOT, read_procfile, stack_environment
from deploy.local.errors import DirectoryInUse
from deploy.local.lifetime import Lifetime
from deploy.local.ports import LOCALHOST, free_port
from deploy.local.postgres import DATABASE, PostgresServer
from deploy.local.processes import ManagedProcess, wait_until
from deploy.local.simulator.settings import DEFAULT_ISSUER
from deploy.local.stack.readiness import answers_well, worker_answers
from deploy.local.valkey import ValkeyServer
from producer.shared.settings.environment import ENV_PREFIX
from tests.benchmarks import databases
from tests.benchmarks.betcore import STATE_PATH, BetcoreClient
from tests.benchmarks.databases import Books
from tests.benchmarks.errors import PeerMissing
from tests.benchmarks.tokens import EVERYBODY, LIFETIME_SECONDS, USERS, Crowd, TokenStore

TEMPLATE: Final = "bench_empty"
ARQ_PYTHON: Final = f"{ENV_PREFIX}BENCH_ARQ_PYTHON"
READY_SECONDS: Final = 30.0
STOP_SECONDS: Final = 15.0
_REDIS_SECONDS: Final = 30.0
# A backlog of 100,000 messages does not fit into what deploy/valkey.conf allows a container.
# All of the log's files that are ever used are kept, see databases.fill_log.
_POSTGRES: Final = {"min_wal_size": "1GB", "max_wal_size": "1GB"}
_VALKEY: Final = {"maxmemory": "2gb", "maxclients": "4000", "tcp-keepalive": "60"}


class Rig(Lifetime):
    """Runs servers and processes inside a `with` block, and leaves none behind.

    `directory` keeps signed tokens from run to run; what else is in it is of this run alone.
    Raises DirectoryInUse.
    """

    def __init__(self, directory: Path, *, environ: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.directory = directory.resolve()
        self._environ = dict(os.environ if environ is None else environ)
        self._lock_directory()
        for name in ("valkey", "postgres", "log"):
            shutil.rmtree(self.directory / name, ignore_errors=True)
        self._log = self.directory / "log"
        self.store = TokenStore(self.directory / "tokens")
        self.valkey = ValkeyServer(
            self.directory / "valkey", log_path=self._log / "valkey.log", options=_VALKEY
        )
        self.postgres = PostgresServer(
            self.directory / "postgres", log_path=self._log / "postgres.log", settings=_POSTGRES
        )
        self._betcore_port = free_port()
        self.betcore_url = f"http://{LOCALHOST}:{self._betcore_port}"
        self.betcore = BetcoreClient(self.betcore_url)
        self._commands = read_procfile(ROOT)
        self._processes: list[ManagedProcess] = []

    @property
    def redis_url(self) -> str:
        """Valkey's database 0."""
        return self.valkey.url

    @property
    def database_url(self) -> str:
        """The database that the processes use; `reset` makes it anew."""
        return self.postgres.url

    @property
    def arq_python(self) -> str:
        """The Python of arq's environment; raises PeerMissing."""
        python = self._environ.get(ARQ_PYTHON)
        if not python:
            raise PeerMissing(f"{ARQ_PYTHON} must name the Python that has arq: `make bench` sets it")
        return python

    def server_pids(self) -> dict[str, int]:
        """Return the process ids of what is not measured but has its cost: for `Usage`."""
        return {
            "postgres": self.postgres.process.pid,
            "valkey": self.valkey.process.pid,
            "betcore": self._betcore.pid,
        }

    def environment(self) -> dict[str, str]:
        """Return the whole environment of receivers and workers; all settings that it lacks are defaults."""
        mine = {name: value for name, value in self._environ.items() if not name.startswith(ENV_PREFIX)}
        checked = {
            f"{ENV_PREFIX}TOKEN_ISSUER": DEFAULT_ISSUER,
            f"{ENV_PREFIX}TOKEN_MAX_LIFE_SECONDS": str(LIFETIME_SECONDS),
        }
        return {
            **stack_environment(
                {**mine, **checked},
                redis_url=self.redis_url,
                database_url=self.database_url,
                betcore_url=self.betcore_url,
            ),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "producer/client")]),
        }

    def procfile(self, name: str) -> list[str]:
        """Return the argv of a command of the Procfile."""
        return ["/bin/sh", "-c", self._commands[name]]

    def tokens(self, count: int, *, first_cashback_id: int, crowd: Crowd = EVERYBODY) -> list[str]:
        """Return the tokens of `count` payouts of 10.50 EUR with consecutive ids; see TokenStore."""
        return self.store.tokens(count, first_cashback_id=first_cashback_id, crowd=crowd)

    def start(self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> ManagedProcess:
        """Start a process in the tree's root; the rig stops it at its end if nobody did before."""
        process = ManagedProcess(
            name=name,
            argv=argv,
            log_path=self._log / f"{name}.log",
            env=self.environment() if env is None else env,
            cwd=ROOT,
        )
        self._processes = [one for one in self._processes if one.is_running]
        process.start()
        self._processes.append(process)
        return process

    def python(self, name: str, module: str, *arguments: str) -> ManagedProcess:
        """Start a module of this tree under this Python."""
        return self.start(name, [sys.executable, "-m", module, *arguments])

    def wait_http(self, process: ManagedProcess, port: int, path: str) -> None:
        """Wait until a server answers with 200; raises NotReadyInTime, ProcessDied."""
        self._wait(process, lambda: answers_well(port, path))

    def wait_worker(self, worker: ManagedProcess, redis_url: str | None = None) -> None:
        """Wait until a Celery worker named `worker-PID@…` consumes; raises NotReadyInTime, ProcessDied."""
        self._wait(worker, lambda: worker_answers(redis_url or self.redis_url, worker.pid))

    def reset(self, *, template: str = TEMPLATE) -> None:
        """Empty Valkey, BETCORE's records and the database, which becomes a copy of `template`.

        Processes that use them must have been stopped: their sessions are ended.
        """
        with redis.Redis.from_url(self.redis_url, socket_timeout=_REDIS_SECONDS) as client:
            client.flushall()
        self.copy_database(template, DATABASE)
        self.betcore.reset()

    def copy_database(self, source: str, target: str) -> None:
        """Make `target` a copy of `source`, whatever it was; on return the copy is on disk."""
        databases.copy(self.postgres, source, target)

    def drop_database(self, name: str) -> None:
        """Remove a database if it is there."""
        databases.drop(self.postgres, name)

    def books(self) -> Books:
        """Read what stands in the ledger; raises BenchmarkFailed where the entries do not sum to zero."""
        return databases.read_books(self.database_url)

    def versions(self) -> dict[str, str]:
        """Return the versions of the servers."""
        with redis.Redis.from_url(self.redis_url, socket_timeout=_REDIS_SECONDS) as client:
            server: Any = client.info("server")
        return {"PostgreSQL": databases.version(self.postgres), "Valkey": str(server["valkey_version"])}

    def stop_processes(self) -> None:
        """Stop whatever was started but the servers."""
        self._stop([process for process in self._processes if process is not self._betcore])

    def _start(self) -> None:
        self._cleanup.callback(self.betcore.close)
        self._cleanup.callback(self.postgres.stop)
        self._cleanup.callback(self.valkey.stop)
        self._cleanup.callback(self._stop_all)
        self.valkey.launch()
        self.postgres.launch()
        keys = self.directory / "jwks.json"
        keys.write_bytes(self.store.key_set())
        self.valkey.wait_ready()
        self.postgres.wait_ready()
        databases.fill_log(self.postgres)
        self._betcore = self.python("betcore", "tests.benchmarks.betcore", str(self._betcore_port), str(keys))
        self.wait_http(self._betcore, self._betcore_port, STATE_PATH)
        databases.create_ledger(self.postgres, TEMPLATE, users=USERS)
        self.reset()

    def _lock_directory(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        lock = self._cleanup.enter_context((self.directory / "bench.lock").open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._cleanup.close()
            raise DirectoryInUse(f"another benchmark runs in {self.directory}") from None

    def _wait(self, process: ManagedProcess, check: Callable[[], bool]) -> None:
        what = f"{process.name} is ready"
        wait_until(check, what=what, timeout_seconds=READY_SECONDS, process=process)

    def _stop_all(self) -> None:
        self._stop(self._processes)

    @staticmethod
    def _stop(processes: Sequence[ManagedProcess]) -> None:
        with ThreadPoolExecutor(max_workers=max(1, len(processes))) as pool:
            # Read to the end, so that what failed is raised.
            list(pool.map(lambda process: process.stop(timeout_seconds=STOP_SECONDS), processes))
