"""Fixtures of the schema's tests."""

from collections.abc import Iterator

import pytest

from deploy.local.postgres import PostgresServer
from tests.support.books import database_of


@pytest.fixture
def empty_database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """Give the URL of a database of the test's own with nothing in it."""
    with database_of(postgres_server, "template1") as url:
        yield url
