"""Standbys that a commit does not wait for are told of, once, and counted."""

import math
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from structlog.testing import capture_logs

from deploy.local.postgres import PostgresServer
from deploy.local.processes import wait_until
from tests.support.books import pool_of
from worker.ledger.database import Database
from worker.metrics import Metrics
from worker.recovery.standbys import Standbys

STANDBY = "standby"


@pytest.fixture
def server(own_directory: Path) -> Iterator[PostgresServer]:
    """Give a PostgreSQL of the test's own, as its settings are changed."""
    server = PostgresServer(own_directory, settings={"wal_level": "replica"})
    try:
        yield server.start()
    finally:
        server.stop()


@contextmanager
def streaming(server: PostgresServer, directory: Path) -> Iterator[None]:
    """Have somebody follow the server as a standby does: it takes the log and says what it has on disk."""
    directory.mkdir()
    with psycopg.connect(server.url, autocommit=True) as connection:
        row = connection.execute("SELECT setting FROM pg_config WHERE name = 'BINDIR'").fetchone()
        assert row is not None
        conninfo = f"{server.url_of('postgres')}?application_name={STANDBY}"
        argv = [
            f"{row[0]}/pg_receivewal",
            "--synchronous",
            "--directory",
            str(directory),
            "--dbname",
            conninfo,
        ]
        with subprocess.Popen(argv) as process:
            try:
                followers = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
                wait_until(
                    lambda: connection.execute(followers).fetchone() == (1,),
                    what="the log is streamed",
                    timeout_seconds=120,
                )
                yield
            finally:
                process.terminate()


def alter(server: PostgresServer, statement: str) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(statement.encode())
        connection.execute("SELECT pg_reload_conf()")


def findings(url: str, *, looks: int = 2) -> tuple[list[str], float]:
    """Look some times; return what was logged, and the gauge."""
    metrics = Metrics()
    with pool_of(url) as pool, capture_logs() as logs:
        database = Database(pool, timeout_seconds=120)
        standbys = Standbys(database, metrics)
        for _ in range(looks):
            standbys.look()
    gauge = metrics.registry.get_sample_value("cashback_ledger_asynchronous_standbys")
    assert gauge is not None
    return [line["event"] for line in logs], gauge


def test_a_single_primary_is_nothing_to_tell_of(server: PostgresServer) -> None:
    assert findings(server.url) == ([], 0)


def test_asynchronous_standbys_are_warned_about_once(server: PostgresServer, tmp_path: Path) -> None:
    with streaming(server, tmp_path / "wal"):
        assert findings(server.url) == (["standbys_asynchronous"], 1)


def test_a_standby_that_commits_wait_for_is_none_to_warn_about(
    server: PostgresServer, tmp_path: Path
) -> None:
    with streaming(server, tmp_path / "wal"):
        alter(server, f"ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'")
        wait_until(lambda: findings(server.url, looks=1) == ([], 0), what="commits wait", timeout_seconds=120)

        # And where commits do not wait after all, it is as good as asynchronous.
        alter(server, "ALTER ROLE postgres SET synchronous_commit = 'local'")
        assert findings(server.url) == (["standbys_asynchronous"], 1)


def test_a_role_that_may_not_see_them_says_so_once(server: PostgresServer, tmp_path: Path) -> None:
    alter(server, "CREATE ROLE cashback LOGIN")
    url = urlsplit(server.url)
    unprivileged = url._replace(netloc=f"cashback@{url.hostname}:{url.port}").geturl()
    with streaming(server, tmp_path / "wal"):
        logged, gauge = findings(unprivileged)

        assert logged == ["standbys_unknown"]
        assert math.isnan(gauge)

        alter(server, "GRANT pg_monitor TO cashback")
        assert findings(unprivileged) == (["standbys_asynchronous"], 1)
