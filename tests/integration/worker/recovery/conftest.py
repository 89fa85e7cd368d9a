"""Fixtures of the recovery's tests."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
import redis
from psycopg import sql

from deploy.local.postgres import PostgresServer
from tests.support.ledger_watch import (
    Backup,
)


@pytest.fixture
def backup(database_url: str, postgres_server: PostgresServer) -> Iterator[Callable[[], Backup]]:
    copies = []

    def make() -> Backup:
        database = database_url.rpartition("/")[2]
        copies.append(f"{database}_copy")
        copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        with psycopg.connect(postgres_server.url, autocommit=True) as connection:
            connection.execute(copy.format(sql.Identifier(copies[-1]), sql.Identifier(database)))
        return Backup(postgres_server, database, copies[-1])

    yield make
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        for copy in copies:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(copy)))


@pytest.fixture
def redis_client(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client
