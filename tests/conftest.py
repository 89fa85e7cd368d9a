"""Fixtures of all tests: real servers, started when the first test asks for one, stopped at the end."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import redis
from hypothesis import HealthCheck, settings
from psycopg import sql

from deploy.local.postgres import DATABASE, PostgresServer
from deploy.local.valkey import ValkeyServer
from worker.schema.migrate import migrate
from worker.schema.roles import RoleNames

# `server_directory` and `own_directory`, which outlive a failure, and the logs in its report.
pytest_plugins = ["tests.support.kept_runs"]
# Where a shared helper asserts, a failure shows the values, as it does in a test.
pytest.register_assert_rewrite("tests.support")

_TEMPLATE = "cashback_template"

# One profile for the whole suite: what takes long on a slow machine fails no test, and what an earlier run
# found and left under .hypothesis decides nothing.
settings.register_profile(
    "suite",
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("suite")


@pytest.fixture(scope="session")
def valkey_server(server_directory: Path) -> Iterator[ValkeyServer]:
    """One real Valkey for the whole run."""
    server = ValkeyServer(server_directory / "valkey")
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="session")
def postgres_server(server_directory: Path) -> Iterator[PostgresServer]:
    """One real PostgreSQL for the whole run. It survives the death of its processes, not of the machine."""
    server = PostgresServer(server_directory / "postgres", settings={"fsync": "off"})
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def redis_url(valkey_server: ValkeyServer) -> str:
    """Give the URL of an empty Valkey."""
    with redis.Redis.from_url(valkey_server.url) as client:
        client.flushall()
    return valkey_server.url


@pytest.fixture(scope="session")
def migrated_template(postgres_server: PostgresServer) -> str:
    """Give the name of a database that has the program's schema, its roles, and no data."""
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_TEMPLATE)))
    migrate(postgres_server.url_of(_TEMPLATE), roles=RoleNames(prefix=DATABASE))
    return _TEMPLATE


@pytest.fixture
def database_url(postgres_server: PostgresServer, migrated_template: str) -> Iterator[str]:
    """Give the URL of a database of the test's own, with the program's schema and no data."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(
            # Copied file by file: it goes through no log that nobody reads.
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(migrated_template)
            )
        )
    yield postgres_server.url_of(name)
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
