"""Each process of the local stack connects to PostgreSQL by the role that is its own."""

import pytest

from deploy.local.environment import with_database_role

OWNER = {"CASHBACK_DATABASE_URL": "postgresql://postgres:owners@one:1,two:2/cashback?sslmode=require"}
ROLES = OWNER | {"CASHBACK_DATABASE_ROLES": "shop", "CASHBACK_WORKER_ROLE_PASSWORD": "p@ss/word"}


@pytest.mark.parametrize(
    ("process", "login"),
    [
        ("web", "shop_receiver"),
        ("worker.2", "shop_worker:p%40ss%2Fword"),
        ("accounts", "shop_operator"),
        ("command", "shop_operator"),
    ],
)
def test_a_process_gets_its_own_role_and_nobody_elses_password(process: str, login: str) -> None:
    environ = with_database_role(ROLES, process)

    assert environ["CASHBACK_DATABASE_URL"] == f"postgresql://{login}@one:1,two:2/cashback?sslmode=require"
    assert "CASHBACK_WORKER_ROLE_PASSWORD" not in environ


@pytest.mark.parametrize("process", ["release", "flower", "simulator"])
def test_who_makes_the_roles_or_needs_none_keeps_what_there_is(process: str) -> None:
    assert with_database_role(ROLES, process) == ROLES


def test_without_roles_there_is_one_url_for_all() -> None:
    assert with_database_role(OWNER, "web") == OWNER
