"""A PostgreSQL whose commits can be made to wait for a standby that never comes."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from deploy.local.postgres import PostgresServer
from deploy.local.processes import wait_until
from tests.support.roles import TEST_ROLES
from worker.schema.migrate import migrate


@contextmanager
def migrated_server(directory: Path) -> Iterator[PostgresServer]:
    """Run a server of the test's own, as its settings are changed."""
    server = PostgresServer(directory)
    try:
        server.start()
        migrate(server.url, roles=TEST_ROLES)
        yield server
    finally:
        server.stop()


@contextmanager
def operator_on(server: PostgresServer) -> Iterator[psycopg.Connection]:
    """Give a connection whose own commits never wait."""
    with psycopg.connect(server.url, autocommit=True, options="-c synchronous_commit=local") as connection:
        yield connection


def wait_for_standby(connection: psycopg.Connection, name: str) -> None:
    """Have commits wait for the standby of this name, which is not there; for none where it is empty."""
    connection.execute(sql.SQL("ALTER SYSTEM SET synchronous_standby_names = {}").format(sql.Literal(name)))
    connection.execute("SELECT pg_reload_conf()")
    wait_until(
        lambda: connection.execute("SHOW synchronous_standby_names").fetchone() == (name,),
        what="the configuration is loaded",
        timeout_seconds=120,
    )
    if name:
        wait_until(lambda: _a_commit_waits(connection), what="commits wait", timeout_seconds=120)


def _a_commit_waits(connection: psycopg.Connection) -> bool:
    """Whether a commit waits: every process reads the configuration when it can, the one that counts too."""
    with closing(psycopg.connect(connection.info.dsn, autocommit=True)) as probe:
        probe.execute("SET synchronous_commit = on")
        probe.pgconn.send_query(b"SELECT pg_logical_emit_message(true, 'probe', '')")
        while probe.pgconn.is_busy():
            [(event,)] = connection.execute(
                "SELECT wait_event FROM pg_stat_activity WHERE pid = %s", (probe.info.backend_pid,)
            )
            if event == "SyncRep":
                connection.execute("SELECT pg_terminate_backend(%s)", (probe.info.backend_pid,))
                return True
            probe.pgconn.consume_input()
    return False


def backends(connection: psycopg.Connection, application_name: str) -> int:
    """Return how many backends an application has."""
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", (application_name,)
    ).fetchone()
    assert row is not None
    return int(row[0])
