"""Books to take a part away from."""

from collections.abc import Iterator

import psycopg
import pytest

from deploy.local.postgres import PostgresServer
from tests.support.books import add_user, database_of


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer, migrated_template: str) -> Iterator[str]:
    with database_of(postgres_server, migrated_template) as url:
        with psycopg.connect(url) as connection:
            add_user(connection, "ann")
        yield url


@pytest.fixture
def books(database: str) -> Iterator[psycopg.Connection]:
    """Give a transaction of the owner's that is undone."""
    with psycopg.connect(database) as connection:
        connection.execute("SELECT prepare_accounts_import()")
        yield connection
        connection.rollback()
