"""Books that the tests of a module share: each has users and keys of its own."""

from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest
from psycopg import sql

from deploy.local.postgres import PostgresServer
from tests.support.books import SOUND, add_user, audit, database_of
from tests.support.desk import Desk, Login
from tests.support.roles import TEST_ROLES, drop_role, new_prefix, url_as
from worker.schema.roles import OPERATOR


@pytest.fixture(scope="module")
def shared_desk(postgres_server: PostgresServer, migrated_template: str) -> Iterator[Desk]:
    with (
        database_of(postgres_server, migrated_template) as database_url,
        psycopg.connect(database_url, autocommit=True) as owner,
    ):
        for user_id in ("alice", "bob", "cem"):
            add_user(owner, user_id, balance_minor=1_000)
        add_user(owner, "yuki", "JPY", balance_minor=1_000)
        yield Desk(database_url, owner)
        assert audit(owner) == SOUND


@pytest.fixture
def desk(shared_desk: Desk) -> Desk:
    """Give the desk, under the rules that come with the program."""
    shared_desk.rules()
    return shared_desk


@pytest.fixture
def login(desk: Desk) -> Iterator[Login]:
    """Make logins of persons, each a member of the operator's role; gives the URL of each."""
    with ExitStack() as stack:

        def make() -> str:
            name = f"{new_prefix()}_person"
            stack.callback(drop_role, desk.database_url, name)
            desk.owner.execute(
                sql.SQL("CREATE ROLE {} LOGIN IN ROLE {}").format(
                    sql.Identifier(name), sql.Identifier(TEST_ROLES.name(OPERATOR))
                )
            )
            return url_as(desk.database_url, name)

        yield make
