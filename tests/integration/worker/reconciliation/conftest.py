"""Books with a day's work in them, for all tests of a module."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from deploy.local.postgres import PostgresServer
from tests.support.books import database_of
from tests.support.reconciled import settle_a_day
from tests.support.roles import as_role
from worker.cli import cashback
from worker.schema.roles import OPERATOR


@pytest.fixture(scope="module")
def day(postgres_server: PostgresServer, migrated_template: str) -> Iterator[str]:
    with database_of(postgres_server, migrated_template) as database_url:
        settle_a_day(database_url)
        yield database_url


@pytest.fixture
def reconcile(day: str) -> Callable[..., Result]:
    """Run `cashback reconcile` on the day's books, as the operator's role."""

    def run(*arguments: str, **settings: Any) -> Result:  # noqa: ANN401 - the environment
        environment = {"CASHBACK_DATABASE_URL": as_role(day, OPERATOR), **settings}
        return CliRunner().invoke(cashback, ["reconcile", *arguments], env=environment)

    return run


@pytest.fixture
def broken(day: str) -> Callable[..., None]:
    """Give what breaks the books past their guards, as a half restore would; the day's books stay broken."""

    def break_them(*statements: str) -> None:
        with psycopg.connect(day) as connection:
            connection.execute("SET session_replication_role = replica")
            for statement in statements:
                connection.execute(statement.encode())

    return break_them
