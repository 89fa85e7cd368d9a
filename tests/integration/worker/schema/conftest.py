"""Fixtures of the schema's tests."""

from collections.abc import Iterator

import psycopg
import pytest

from deploy.local.postgres import PostgresServer
from tests.support.books import SOUND, add_user, audit, cancel, database_of, ledger_on, new_event, payout


@pytest.fixture
def empty_database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """Give the URL of a database of the test's own with nothing in it."""
    with database_of(postgres_server, "template1") as url:
        yield url


@pytest.fixture(scope="module")
def filled(postgres_server: PostgresServer, migrated_template: str) -> Iterator[psycopg.Connection]:
    """Books with a payout (1), a reversed payout (2), and a user without any transaction."""
    with (
        database_of(postgres_server, migrated_template) as database_url,
        psycopg.connect(database_url, autocommit=True) as connection,
        ledger_on(database_url) as ledger,
    ):
        add_user(connection, "ann", balance_minor=500)
        add_user(connection, "bob", balance_minor=500)
        add_user(connection, "idle")
        ledger.settle(new_event(1), payout(1, "ann", "10"))
        ledger.settle(new_event(2), payout(2, "ann", "10"))
        ledger.settle(new_event(2), cancel(2, "ann", "10"))
        assert audit(connection) == SOUND
        yield connection


@pytest.fixture
def books(filled: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """Give each test the same books: whatever it does is rolled back, its changes of the schema as well."""
    with filled.transaction(force_rollback=True):
        yield filled


@pytest.fixture
def made_today(postgres_server: PostgresServer) -> Iterator[str]:
    """Give the URL of a second empty database, for a schema from scratch."""
    with database_of(postgres_server, "template1") as url:
        yield url
