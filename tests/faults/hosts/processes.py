"""The processes of the service on hosts: the Procfile's, and the simulated BETCORE."""

import os
import sys
from pathlib import Path
from typing import Final

from deploy.local.demo.run import demo_environment
from deploy.local.environment import (
    DATABASE_ROLES,
    DATABASE_URL,
    REDIS_SENTINEL_MASTER,
    REDIS_URL,
    ROOT,
    read_procfile,
    stack_environment,
    with_database_role,
)
from deploy.local.postgres import DATABASE
from deploy.local.processes import ManagedProcess
from tests.faults.hosts.network import DATABASE_ADDRESS, Network
from tests.faults.hosts.servers import MASTER, url_at
from tests.faults.rig import TRANSIT_SECONDS, RigOptions
from tests.support.simulated import LOG_LIMIT

RECEIVER_PORT: Final = 8000
BETCORE_NAME: Final = "betcore.test"
BETCORE_PORT: Final = 8080


class Processes:
    """Makes them, none started; they know the sentinels, and the address that moves with PostgreSQL."""

    def __init__(self, network: Network, options: RigOptions, *, redis_url: str) -> None:
        self.network = network
        self.options = options
        self.redis_url = redis_url
        self.betcore_url = f"http://{network.addresses['betcore']}:{BETCORE_PORT}"
        self.commands = read_procfile(ROOT)
        self.environ = self._environment()

    def betcore(self) -> ManagedProcess:
        """Return the simulated BETCORE."""
        where = ["--host", "0.0.0.0", "--port", str(BETCORE_PORT)]
        where += ["--partner-url", f"http://{self.network.addresses['receiver']}:{RECEIVER_PORT}"]
        limits = ["--accept-limit-seconds", str(self.options.deadline_seconds + TRANSIT_SECONDS)]
        limits += ["--log-limit", str(LOG_LIMIT), "--make-timeout-seconds", "5"]
        argv = [sys.executable, "-m", "deploy.local.simulator", *where, *limits]
        return self.process("betcore", host="betcore", argv=argv)

    def service(self, command: str, *, host: str, settings: dict[str, str] | None = None) -> ManagedProcess:
        """Return a process of the Procfile on a host, with the role of PostgreSQL that is its own."""
        return self.process(
            host,
            host=host,
            argv=["/bin/sh", "-c", self.commands[command]],
            settings=settings,
            role_of=command,
        )

    def process(
        self,
        name: str,
        *,
        host: str,
        argv: list[str],
        settings: dict[str, str] | None = None,
        role_of: str = "release",
    ) -> ManagedProcess:
        """Return a process on a host, with `settings` of its own; see `with_database_role` for `role_of`."""
        return ManagedProcess(
            name=name,
            argv=self.network.inside(host, *argv),
            log_path=log_path(self.options.directory.resolve(), name),
            env=with_database_role({**self.environ, **(settings or {})}, role_of),
            cwd=ROOT,
        )

    def _environment(self) -> dict[str, str]:
        environ = demo_environment(os.environ) | {
            "CASHBACK_DEADLINE_SECONDS": str(self.options.deadline_seconds),
            "CASHBACK_ANSWER_RESERVE_SECONDS": str(self.options.reserve_seconds),
            # As it is by default: the demo lets every make in, and here the limit is what is tried.
            "CASHBACK_SHED_WAIT_SECONDS": "",
            # A moment in which BETCORE is out of reach, or its name, is met by who asks for its keys, too.
            "CASHBACK_JWKS_REFRESH_SECONDS": "1",
            REDIS_SENTINEL_MASTER: MASTER,
            DATABASE_ROLES: DATABASE,
            # BETCORE has a host of its own.
            "CASHBACK_BETCORE_PLAIN_HTTP": "allow",
            **self.options.settings,
        }
        urls = {REDIS_URL: self.redis_url, DATABASE_URL: url_at(DATABASE_ADDRESS)}
        return stack_environment(
            environ,
            redis_url=urls[REDIS_URL],
            database_url=urls[DATABASE_URL],
            betcore_url=f"http://{BETCORE_NAME}:{BETCORE_PORT}",
        )


def log_path(directory: Path, name: str) -> Path:
    """Return the log file of a process."""
    return directory / "log" / f"{name}.log"
