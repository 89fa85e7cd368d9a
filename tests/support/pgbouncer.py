"""A real PgBouncer in front of a PostgreSQL, with its own defaults but for what a machine's tests need."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from deploy.local.ports import free_port
from deploy.local.postgres import PostgresServer
from deploy.local.processes import ManagedProcess, wait_until
from tests.support.roles import TEST_ROLES
from worker.schema.roles import ROLES

MISSING = "No pgbouncer is on the PATH: install it (Debian: apt-get install pgbouncer) or set PGBOUNCER"


def pgbouncer_path() -> str:
    """Find PgBouncer, or fail: the service is to be seen behind a real one."""
    # Where Debian puts it is not on every user's PATH.
    path = os.environ.get("PGBOUNCER") or shutil.which(
        "pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin"
    )
    if path is None:
        pytest.fail(MISSING)
    return path


@contextmanager
def pgbouncer_of(server: PostgresServer, directory: Path, *, pool_mode: str | None = None) -> Iterator[int]:
    """Run a PgBouncer before the server; gives its port. `pool_mode` None: its default, session."""
    port = free_port()
    directory.mkdir()
    directory.chmod(0o755)
    users = directory / "users.txt"
    names = ["postgres", *map(TEST_ROLES.name, ROLES)]
    users.write_text("".join(f'"{name}" ""\n' for name in names))
    lines = [
        "[databases]",
        f"* = host=127.0.0.1 port={server.port}",
        "[pgbouncer]",
        "listen_addr = 127.0.0.1",
        f"listen_port = {port}",
        "unix_socket_dir =",
        "auth_type = trust",
        f"auth_file = {users}",
        *([f"pool_mode = {pool_mode}"] if pool_mode else []),
    ]
    configuration = directory / "pgbouncer.ini"
    configuration.write_text("\n".join([*lines, ""]))
    # It refuses to work as root.
    as_user = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = ManagedProcess(
        name="pgbouncer",
        argv=[pgbouncer_path(), *as_user, str(configuration)],
        log_path=directory / "pgbouncer.log",
        cwd=directory,
    )
    process.start()
    try:
        url = url_through(port, "postgres")
        wait_until(lambda: _answers(url), what="PgBouncer answers", timeout_seconds=120, process=process)
        yield port
    finally:
        process.stop()


def url_through(port: int, database: str) -> str:
    """Return the URL of a database behind a PgBouncer."""
    return f"postgresql://postgres@127.0.0.1:{port}/{database}"


def _answers(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=10):
            return True
    except psycopg.OperationalError:
        return False
