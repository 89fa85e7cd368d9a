"""The whole service on eleven hosts: each process on its own, with whatever a scenario cuts between them."""

import http.client
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final

import redis

from cashback_client.contract import QUEUE, RETRY_QUEUE
from deploy.local.demo.run import clear_directory
from deploy.local.errors import ProcessFailed
from deploy.local.lifetime import Lifetime
from deploy.local.processes import ManagedProcess, wait_until
from deploy.local.stack.readiness import worker_answers
from tests.faults.hosts.name_server import NameServer
from tests.faults.hosts.network import OPERATOR, SECOND_BETCORE_ADDRESS, Network
from tests.faults.hosts.pair import PostgresPair
from tests.faults.hosts.processes import BETCORE_NAME, RECEIVER_PORT, Processes, log_path
from tests.faults.hosts.servers import (
    MASTER,
    READY_SECONDS,
    SENTINEL_PORT,
    VALKEY_PORT,
    HostPostgres,
    Place,
    new_sentinel,
    new_valkey,
    wait_for_valkey,
)
from tests.faults.rig import STOP_SECONDS, RigOptions
from tests.support.simulated import Simulated

WORKERS: Final = ("worker1", "worker2")
SENTINELS: Final = ("sentinel1", "sentinel2", "sentinel3")
HOSTS: Final = ("receiver", *WORKERS, "postgres1", "postgres2", "valkey1", "valkey2", *SENTINELS, "betcore")
_WEDGED_SECONDS: Final = 30.0
_TIMEOUT_SECONDS: Final = 10.0


class HostRig(Simulated, Lifetime):
    """Runs it all inside a `with` block. The operator, this process, is on the bridge and never cut off."""

    def __init__(self, options: RigOptions) -> None:
        super().__init__()
        self.options = options
        self.directory = options.directory.resolve()
        clear_directory(self.directory)
        for host in HOSTS:
            shutil.rmtree(self.directory / host, ignore_errors=True)
        self.network = Network(HOSTS)
        self.names = NameServer(OPERATOR, {BETCORE_NAME: (self._address("betcore"), SECOND_BETCORE_ADDRESS)})
        self.ledger = PostgresPair(self.network, self._postgres("postgres1"), self._postgres("postgres2"))
        self.valkeys = {name: self._valkey(name) for name in ("valkey1", "valkey2")}
        self.sentinels = {name: self._sentinel(name) for name in SENTINELS}
        self.redis_url = ";".join(f"sentinel://{self._address(name)}:{SENTINEL_PORT}/0" for name in SENTINELS)
        self.processes = Processes(self.network, options, redis_url=self.redis_url)
        self.receiver, self.workers = self._service({})
        self.betcore = self.processes.betcore()

    @property
    def simulator_url(self) -> str:
        """The simulated BETCORE, at its first address: the operator knows no names."""
        return self.processes.betcore_url

    @property
    def database_url(self) -> str:
        """The primary on its own host, wherever its other address is."""
        return self.ledger.primary.url

    @contextmanager
    def cut(self, here: tuple[str, ...], there: tuple[str, ...]) -> Iterator[None]:
        """Cut two sets of hosts from each other in silence."""
        with self.network.cut(here, there):
            yield

    def others_than(self, *hosts: str) -> tuple[str, ...]:
        """Return all hosts but these."""
        return tuple(host for host in HOSTS if host not in hosts)

    def valkey_primary(self) -> str:
        """Return the host that the sentinels hold for the primary; raises redis.RedisError."""
        with redis.Redis(
            host=self._address(SENTINELS[0]),
            port=SENTINEL_PORT,
            socket_timeout=_TIMEOUT_SECONDS,
            decode_responses=True,
        ) as sentinel:
            address = sentinel.sentinel_get_master_addr_by_name(MASTER)
        return next(name for name in self.valkeys if address and self._address(name) == address[0])

    def valkey_client(self, host: str) -> redis.Redis:
        """Return a client of Valkey on a host."""
        return redis.Redis(host=self._address(host), port=VALKEY_PORT, socket_timeout=_TIMEOUT_SECONDS)

    def is_replica(self, host: str) -> bool:
        """Whether Valkey on a host follows the other one and has caught up with it."""
        with self.valkey_client(host) as client:
            told = client.info("replication")
        return bool(told["role"] == "slave" and told["master_link_status"] == "up")

    @contextmanager
    def with_settings(self, settings: dict[str, str]) -> Iterator[None]:
        """Run the service's processes with further settings inside the block, and as before after it."""
        before = self.receiver, self.workers
        self._stop_service()
        try:
            self.receiver, self.workers = self._service(settings)
            self._start_service()
            yield
        finally:
            self._stop_service()
            self.receiver, self.workers = before
            self._start_service()

    def heal(self) -> list[str]:
        """Bring back whatever does not work, and return what did not come back by itself."""
        self.simulate(accept="ok", token="ok", jwks="ok", verify="ok")
        sick = []
        for worker in self.workers:
            if not self._consumes_within(worker, _WEDGED_SECONDS):
                sick.append(f"{worker.name} does not consume")
                worker.kill()
                worker.start()
                self._wait_for_worker(worker)
        self._wait_for_receiver()
        # What is left in the queues must not weigh on the next scenario.
        wait_until(self._are_queues_empty, what="the queues are empty", timeout_seconds=READY_SECONDS)
        return sick

    def _start(self) -> None:
        self._cleanup.enter_context(self.network)
        self.network.give_address(SECOND_BETCORE_ADDRESS, host="betcore")
        self._cleanup.enter_context(self.names)
        self.network.name(BETCORE_NAME, [self._address("betcore"), SECOND_BETCORE_ADDRESS], server=OPERATOR)
        self._start_servers()
        self._run_to_the_end(self.processes.commands["release"], role_of="release")
        self._run_to_the_end("exec cashback accounts import accounts.csv", role_of="accounts")
        self._cleanup.callback(self.betcore.stop, timeout_seconds=STOP_SECONDS)
        self._cleanup.callback(self._stop_service)
        self.betcore.start()
        self._start_service()

    def _service(self, settings: dict[str, str]) -> tuple[ManagedProcess, list[ManagedProcess]]:
        own = {"PORT": str(RECEIVER_PORT), **settings}
        receiver = self.processes.service("web", host="receiver", settings=own)
        return receiver, [self.processes.service("worker", host=host, settings=settings) for host in WORKERS]

    def _start_service(self) -> None:
        for process in (self.receiver, *self.workers):
            process.start()
        self._wait_for_receiver()
        for worker in self.workers:
            self._wait_for_worker(worker)

    def _stop_service(self) -> None:
        processes = (self.receiver, *self.workers)
        with ThreadPoolExecutor(len(processes)) as pool:
            # Read to the end, so that what failed is raised.
            list(pool.map(lambda process: process.stop(timeout_seconds=STOP_SECONDS), processes))

    def _start_servers(self) -> None:
        self._cleanup.callback(self.ledger.stop)
        for process in (*self.valkeys.values(), *self.sentinels.values()):
            self._cleanup.callback(process.stop)
        self.ledger.primary.launch_primary()
        for name, process in self.valkeys.items():
            process.start()
            wait_for_valkey(self._address(name), VALKEY_PORT, process)
        for name, process in self.sentinels.items():
            process.start()
            wait_for_valkey(self._address(name), SENTINEL_PORT, process)
        self.ledger.start()

    def _run_to_the_end(self, command: str, *, role_of: str) -> None:
        (self.directory / "accounts.csv").write_text(self.options.accounts_csv, "utf-8")
        command = command.replace("accounts.csv", str(self.directory / "accounts.csv"))
        argv = ["/bin/sh", "-c", command]
        process = self.processes.process("release", host="receiver", argv=argv, role_of=role_of)
        self._cleanup.callback(process.kill)
        process.start()
        if process.wait(timeout_seconds=READY_SECONDS) != 0:
            raise ProcessFailed(f"{command} ended with status {process.returncode}:\n{process.log_tail()}")

    def _postgres(self, host: str) -> HostPostgres:
        return HostPostgres(self._place(host))

    def _valkey(self, host: str) -> ManagedProcess:
        return new_valkey(self._place(host), primary="valkey1")

    def _sentinel(self, host: str) -> ManagedProcess:
        return new_sentinel(self._place(host), primary="valkey1")

    def _place(self, host: str) -> Place:
        log = log_path(self.directory, host)
        return Place(network=self.network, host=host, directory=self.directory / host, log=log)

    def _address(self, host: str) -> str:
        return self.network.addresses[host]

    def _are_queues_empty(self) -> bool:
        with self.valkey_client(self.valkey_primary()) as client:
            return not client.exists(QUEUE, RETRY_QUEUE)

    def _consumes_within(self, worker: ManagedProcess, seconds: float) -> bool:
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            if worker_answers(self.redis_url, worker.pid, sentinel_master=MASTER):
                return True
        return False

    def _wait_for_worker(self, worker: ManagedProcess) -> None:
        wait_until(
            lambda: worker_answers(self.redis_url, worker.pid, sentinel_master=MASTER),
            what=f"{worker.name} answers a ping",
            timeout_seconds=READY_SECONDS,
            process=worker,
        )

    def _wait_for_receiver(self) -> None:
        what = "the receiver is ready"
        wait_until(self._is_ready, what=what, timeout_seconds=READY_SECONDS, process=self.receiver)

    def _is_ready(self) -> bool:
        address = self._address("receiver")
        connection = http.client.HTTPConnection(address, RECEIVER_PORT, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
