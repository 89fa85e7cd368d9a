"""`cashback doctor` names what is really broken of Redis and PostgreSQL, and what mends it."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
import redis

from cashback_client.client import CashbackClient
from deploy.local.ports import LOCALHOST, free_port
from deploy.local.postgres import PostgresServer
from tests.integration.worker.doctor.conftest import Doctor
from tests.support.betcore import signer
from tests.support.roles import as_role
from worker.schema.roles import OPERATOR, WORKER

REDIS = ("--only", "redis,queues")
POSTGRESQL = ("--only", "postgresql,schema,backlog")


LOSES = {"maxmemory-policy allkeys-lru": "redis_eviction", "appendonly no": "redis_persistence"}


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, socket_timeout=60, decode_responses=True) as made:
        yield made


@contextmanager
def configured(client: redis.Redis, name: str, value: str) -> Iterator[None]:
    """Set something of Redis for the length of the block."""
    before = str(next(iter(client.config_get(name).values())))
    client.config_set(name, value)
    try:
        yield
    finally:
        client.config_set(name, before)


def test_a_redis_that_is_well_has_no_fault_and_is_left_as_it_was(
    doctor: Doctor, redis_url: str, client: redis.Redis
) -> None:
    found = doctor(*REDIS, redis_url=redis_url)

    assert (found.exit_code, found.names("fault")) == (0, set())
    assert {"redis_version", "redis_persistence", "redis_memory", "queue_lengths"} <= found.names("good")
    assert client.keys() == []


def test_a_full_redis_is_named(doctor: Doctor, redis_url: str, client: redis.Redis) -> None:
    with configured(client, "maxmemory", "1mb"):
        found = doctor(*REDIS, redis_url=redis_url)

    assert found.exit_code == 1
    assert found.names("fault") == {"redis_takes_no_writes", "redis_memory"}
    assert "its memory is full" in found.of("redis_takes_no_writes")["what"]
    assert found.of("redis_memory")["what_to_do"].startswith("redis-cli CONFIG SET maxmemory 2mb")


@pytest.mark.parametrize("setting", LOSES)
def test_a_redis_that_loses_messages_is_named(
    doctor: Doctor, redis_url: str, client: redis.Redis, setting: str
) -> None:
    with configured(client, *setting.split()):
        found = doctor(*REDIS, redis_url=redis_url)

    [name] = found.names("fault")
    assert (found.exit_code, name) == (1, LOSES[setting])


def test_messages_on_lists_that_nobody_reads_are_named(
    doctor: Doctor, redis_url: str, client: redis.Redis
) -> None:
    client.lpush("rq:queue:cashback", "whatever it is")
    client.lpush("celery", "another application's")
    client.lpush("orders", "another application's")
    client.lpush("cashback.partner.edge", "read")
    client.lpush("cashback.partner.mobile", "not read")
    with CashbackClient(redis_url) as partner:
        partner.submit(signer(1).token(at=1_000_000_000.0))
    client.rename("cashback", "shop")

    found = doctor(*REDIS, redis_url=redis_url, partners="edge")

    named = {
        each["what"].split()[2].rstrip(",")
        for each in found.document["findings"]
        if each["verdict"] == "fault"
    }
    assert named == {"rq:queue:cashback", "cashback.partner.mobile", "shop"}
    assert found.exit_code == 1
    assert "LMOVE 'shop' cashback RIGHT LEFT" in found.text
    assert client.llen("shop") == client.llen("celery") == 1


def test_a_user_who_may_not_do_what_a_worker_does_is_named(
    doctor: Doctor, redis_url: str, client: redis.Redis
) -> None:
    ask: Any = client.execute_command
    ask("ACL", "SETUSER", "plain", "on", ">s3cret", "~*", "&*", "+@all", "-lmove", "-blmove")
    try:
        found = doctor(*REDIS, redis_url=redis_url.replace("//", "//plain:s3cret@"))
    finally:
        ask("ACL", "DELUSER", "plain")

    assert "redis_refused" in found.names("fault")
    assert "s3cret" not in found.text


def test_what_hangs_holds_up_nothing_else(doctor: Doctor, database_url: str) -> None:
    with socket.create_server((LOCALHOST, 0)) as silent:
        port = silent.getsockname()[1]
        found = doctor(
            *("--only", "redis,queues,postgresql,schema", "--timeout", "2"),
            redis_url=f"redis://{LOCALHOST}:{port}/0",
            database_url=as_role(database_url, OPERATOR),
        )

    assert found.exit_code == 1
    assert {"redis_unreachable", "queue_lengths"} <= found.names("fault")
    assert "schema_whole" in found.names("good")


def test_a_database_that_is_whole_is_told_so_to_each_role(doctor: Doctor, database_url: str) -> None:
    for role, sees_backlog in ((OPERATOR, True), (WORKER, False)):
        found = doctor(*POSTGRESQL, database_url=as_role(database_url, role))

        # The tests' server is not durable, for speed.
        assert found.names("fault") == {"postgresql_durability"}
        assert found.names("advice") == set()
        assert ("nothing_left" in found.names("good")) is sees_backlog
        assert ("backlog" in found.names("unchecked")) is not sees_backlog
        assert "ALTER SYSTEM SET fsync = on" in found.of("postgresql_durability")["what_to_do"]


def test_a_database_without_the_schema_is_named(doctor: Doctor, postgres_server: PostgresServer) -> None:
    found = doctor(*POSTGRESQL, database_url=postgres_server.url)

    assert found.exit_code == 1
    assert "schema_missing" in found.names("fault")
    assert "cashback migrate" in found.text


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("DROP TRIGGER entries_balance ON entries", "trigger entries_balance on entries"),
        ("ALTER TABLE accounts DISABLE TRIGGER accounts_guard", "trigger accounts_guard on accounts"),
        ("DROP FUNCTION settle_events", "function settle_events"),
        ("DROP INDEX transactions_reverses_key", "index transactions_reverses_key"),
        ("ALTER TABLE entries DROP CONSTRAINT entries_pkey", "primary key of entries"),
        ("DROP TABLE quarantine", "table quarantine"),
        ("ALTER TABLE accounts DROP CONSTRAINT accounts_status_check", "constraint accounts_status_check"),
        ("GRANT EXECUTE ON FUNCTION settle_events TO PUBLIC", "rights to function settle_events"),
    ],
)
def test_a_schema_that_is_not_whole_is_named(
    doctor: Doctor, database_url: str, statement: str, named: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(statement.encode())

    found = doctor("--only", "schema", database_url=as_role(database_url, OPERATOR))

    assert found.exit_code == 1
    assert named in found.of("schema_not_whole")["what"]


def test_a_role_that_may_write_to_the_books_is_named(doctor: Doctor, database_url: str) -> None:
    operator = as_role(database_url, OPERATOR)
    with psycopg.connect(operator) as connection:
        [(name,)] = connection.execute("SELECT current_user::text").fetchall()
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(f"GRANT INSERT ON entries TO {name}".encode())

    found = doctor("--only", "postgresql", database_url=operator)

    assert name in found.of("postgresql_roles")["what"]
    assert "postgresql_roles" in found.names("fault")


def test_servers_that_are_away_and_a_wrong_setting_are_named_without_their_passwords(doctor: Doctor) -> None:
    found = doctor(
        redis_url=f"redis://:s3cret@{LOCALHOST}:{free_port()}/0",
        database_url=f"postgresql://operator:s3cret@{LOCALHOST}:{free_port()}/x",
        betcore_url="ftp://betcore.test",
    )

    assert found.exit_code == 1
    assert {"redis_unreachable", "postgresql_unreachable", "setting_wrong"} <= found.names("fault")
    assert "s3cret" not in found.text


def test_what_is_not_set_is_not_checked_and_no_fault(doctor: Doctor) -> None:
    found = doctor()

    assert (found.exit_code, found.document["verdict"]) == (0, "unchecked")
    assert {each["verdict"] for each in found.document["findings"]} == {"unchecked"}
    assert "not checked: CASHBACK_BETCORE_URL and CASHBACK_CLIENT_ID and CASHBACK_CLIENT_SECRET" in found.text
