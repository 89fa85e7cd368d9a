"""What a process must find, asked of real servers: each thing that can be wrong, and nothing left behind."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
import redis
from celery import Celery
from psycopg import sql

from deploy.local.ports import free_port
from deploy.local.postgres import PostgresServer
from deploy.local.valkey import ValkeyServer
from producer.copies.redis_client import check_redis as check_for_receiver
from producer.shared.preconditions.postgres import RECORDS, check_postgres
from producer.shared.preconditions.verdict import Kind, Verdict
from producer.shared.settings.environment import SettingsError
from producer.shared.settings.receiver import ReceiverSettings
from tests.support.sentinel import MASTER, sentinel_of, sentinel_url
from worker.app import create_app
from worker.queue.preconditions import check_redis as check_for_worker
from worker.settings import WorkerSettings

OTHERS = {
    "database_url": "postgresql://unused.test/x",
    "betcore_url": "https://unused.test",
    "token_client_id": "PartnerClient-1556",
}


def for_receiver(redis_url: str) -> list[Verdict]:
    values = {"redis_url": redis_url, "redis_sentinel_master": MASTER, **OTHERS}
    return check_for_receiver(ReceiverSettings.model_validate(values))


def for_worker(redis_url: str) -> list[Verdict]:
    return check_for_worker(worker_app(redis_url))


def worker_app(redis_url: str) -> Celery:
    values = {"redis_url": redis_url, "redis_sentinel_master": MASTER, "bearer_token": "x", **OTHERS}
    return create_app(WorkerSettings.model_validate(values))


both = pytest.mark.parametrize("check", [for_receiver, for_worker])


def kinds(verdicts: list[Verdict]) -> list[tuple[str, Kind]]:
    assert all("\n" not in verdict.sentence for verdict in verdicts)
    return [(verdict.name, verdict.kind) for verdict in verdicts]


@contextmanager
def user(redis_url: str, *rules: str) -> Iterator[str]:
    """Give the URL of a user with these rights on Redis."""
    name = f"user_{uuid4().hex}"
    with redis.Redis.from_url(redis_url) as client:
        client.execute_command("ACL", "SETUSER", name, "on", ">secret", *rules)
        try:
            yield urlsplit(redis_url)._replace(netloc=f"{name}:secret@{urlsplit(redis_url).netloc}").geturl()
        finally:
            client.execute_command("ACL", "DELUSER", name)


@contextmanager
def configured(redis_url: str, name: str, value: str) -> Iterator[None]:
    with redis.Redis.from_url(redis_url) as client:
        before = client.config_get(name)[name]
        client.config_set(name, value)
        try:
            yield
        finally:
            client.config_set(name, before)


@both
def test_a_sound_redis_has_no_verdict_and_nothing_is_left_in_it(
    check: Callable[[str], list[Verdict]], redis_url: str
) -> None:
    assert check(redis_url) == []

    with redis.Redis.from_url(redis_url) as client:
        assert client.keys() == []


@both
def test_through_sentinels_it_is_the_same_and_one_that_is_away_costs_nothing(
    check: Callable[[str], list[Verdict]], valkey_server: ValkeyServer, redis_url: str, tmp_path: Path
) -> None:
    with sentinel_of(valkey_server, tmp_path) as port:
        assert check(sentinel_url(port)) == []
        assert check(sentinel_url(free_port(), port)) == []
        with configured(redis_url, "maxmemory", "1"):
            assert kinds(check(sentinel_url(port))) == [("redis_takes_no_writes", Kind.PASSING)]

    assert kinds(check(sentinel_url(port))) == [("redis_unreachable", Kind.PASSING)]


@both
def test_a_redis_that_says_nothing_passes(
    check: Callable[[str], list[Verdict]], valkey_server: ValkeyServer, redis_url: str
) -> None:
    valkey_server.freeze()
    try:
        found = kinds(check(redis_url))
    finally:
        valkey_server.thaw()

    assert found == [("redis_unreachable", Kind.PASSING)]


def test_a_user_with_the_rights_that_are_named_is_enough(redis_url: str) -> None:
    for keys in (["~cashback*", "~_kombu.*", "~unacked*", "~*.pidbox*"], ["~*"]):
        with user(redis_url, *keys, "&*", "+@all", "-@dangerous", "+info") as url:
            assert for_worker(url) == []
            assert for_receiver(url) == []


@pytest.mark.parametrize(
    "rules",
    [
        ("~*", "&*", "+@all", "-@blocking"),
        ("~*", "&*", "+@all", "-@scripting"),
        ("~*", "&*", "+@all", "-multi"),
        ("~*", "&*", "+@all", "-@write"),
        # Without its channels nothing is told to Flower, and Celery's consumer begins anew for ever.
        ("~*", "resetchannels", "+@all"),
        ("~cashback", "&*", "+@all"),
        # Celery has keys of its own.
        ("~cashback*", "~unacked*", "~*.pidbox*", "&*", "+@all"),
        ("~cashback*", "~_kombu.*", "~*.pidbox*", "&*", "+@all"),
        ("~cashback*", "~_kombu.*", "~unacked*", "&*", "+@all"),
    ],
)
def test_a_worker_that_may_not_do_what_it_has_to_is_refused(redis_url: str, rules: tuple[str, ...]) -> None:
    with user(redis_url, *rules) as url:
        assert kinds(for_worker(url)) == [("redis_refused", Kind.FATAL)]


def test_a_receiver_needs_to_push_and_no_more(redis_url: str) -> None:
    with user(redis_url, "~cashback", "resetchannels", "+@all", "-@blocking", "-@scripting") as url:
        assert for_receiver(url) == []
    with user(redis_url, "~*", "+@all", "-lpush") as url:
        assert kinds(for_receiver(url)) == [("redis_refused", Kind.FATAL)]


@both
def test_a_wrong_password_is_refused(check: Callable[[str], list[Verdict]], redis_url: str) -> None:
    with user(redis_url, "~*", "&*", "+@all") as url:
        assert kinds(check(url.replace("secret", "wrong"))) == [("redis_refused", Kind.FATAL)]


@both
def test_what_may_not_be_asked_is_unknown(check: Callable[[str], list[Verdict]], redis_url: str) -> None:
    with user(redis_url, "~*", "&*", "+@all", "-info", "-config") as url:
        assert kinds(check(url)) == [
            ("redis_cluster", Kind.UNKNOWN),
            ("redis_eviction", Kind.UNKNOWN),
        ]


@both
def test_a_cluster_is_none_of_ours(check: Callable[[str], list[Verdict]], own_directory: Path) -> None:
    # Its own choice for the second port is its first one and 10,000, which somebody may have.
    options = {"cluster-enabled": "yes", "cluster-port": str(free_port())}
    server = ValkeyServer(own_directory / "valkey", options=options)
    try:
        server.start()

        found = kinds(check(server.url))
    finally:
        server.stop()

    assert set(found) == {("redis_cluster", Kind.FATAL)}


@both
def test_a_full_memory_passes_and_so_does_an_eviction_policy(
    check: Callable[[str], list[Verdict]], redis_url: str
) -> None:
    with configured(redis_url, "maxmemory", "1"):
        assert kinds(check(redis_url)) == [("redis_takes_no_writes", Kind.PASSING)]
    with configured(redis_url, "maxmemory-policy", "allkeys-lru"):
        assert kinds(check(redis_url)) == [("redis_eviction", Kind.PASSING)]


@both
def test_a_redis_that_is_away_passes(check: Callable[[str], list[Verdict]]) -> None:
    assert kinds(check(f"redis://127.0.0.1:{free_port()}/0")) == [("redis_unreachable", Kind.PASSING)]


def test_a_database_with_the_schema_has_no_verdict(database_url: str) -> None:
    assert kinds(check_postgres(database_url, RECORDS)) == [("one_database_role", Kind.ADVICE)]


@pytest.fixture
def empty_database(postgres_server: PostgresServer) -> Iterator[Callable[[str], str]]:
    """Give a function that makes a database without the schema, by the end of its CREATE DATABASE."""
    names = list[str]()
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:

        def make(how: str) -> str:
            names.append(f"empty_{uuid4().hex}")
            connection.execute(f'CREATE DATABASE "{names[-1]}" {how}'.encode())
            return postgres_server.url_of(names[-1])

        yield make
        for name in names:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_a_database_without_the_schema_or_in_another_encoding_is_none_of_ours(
    empty_database: Callable[[str], str],
) -> None:
    latin = "TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"

    assert kinds(check_postgres(empty_database(""), RECORDS)) == [("schema_missing", Kind.FATAL)]
    assert kinds(check_postgres(empty_database(latin), RECORDS)) == [
        ("postgresql_encoding", Kind.FATAL),
        ("schema_missing", Kind.FATAL),
    ]


def test_a_schema_of_another_version_is_none_of_ours(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO schema_versions (version, name) VALUES (9999, 'later')")
        assert kinds(check_postgres(database_url, RECORDS)) == [("schema_newer", Kind.FATAL)]

        connection.execute("DELETE FROM schema_versions WHERE version > 1")
        assert kinds(check_postgres(database_url, RECORDS)) == [("schema_missing", Kind.FATAL)]


def test_a_role_that_may_not_write_is_refused(database_url: str) -> None:
    role = f"reader_{uuid4().hex}"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
        try:
            assert kinds(check_postgres(f"{database_url}?user={role}", RECORDS)) == [
                ("postgresql_refused", Kind.FATAL)
            ]
        finally:
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
    assert kinds(check_postgres(f"{database_url}?user={role}", RECORDS)) == [
        ("postgresql_refused", Kind.FATAL)
    ]


def test_a_postgresql_that_takes_no_writes_or_is_away_passes(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name))

    assert kinds(check_postgres(database_url, RECORDS)) == [("postgresql_takes_no_writes", Kind.PASSING)]
    assert kinds(check_postgres(f"postgresql://127.0.0.1:{free_port()}/x", RECORDS)) == [
        ("postgresql_unreachable", Kind.PASSING)
    ]


def test_a_url_that_cannot_be_read_is_named_without_its_password() -> None:
    with pytest.raises(SettingsError, match="CASHBACK_DATABASE_URL") as caught:
        check_postgres("postgresql://user:hidden@host/x?nonsense=1", RECORDS)

    assert "hidden" not in str(caught.value)
