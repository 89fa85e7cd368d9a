"""The embedded servers keep what they were told, whatever way they end."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from deploy.local.errors import DirectoryInUse
from deploy.local.postgres import PostgresServer
from deploy.local.processes import wait_until
from deploy.local.valkey import ValkeyServer

AnyServer = ValkeyServer | PostgresServer


@pytest.fixture(scope="module")
def valkey(server_directory: Path) -> Iterator[ValkeyServer]:
    server = ValkeyServer(server_directory / "own-valkey").start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def postgres(server_directory: Path) -> Iterator[PostgresServer]:
    server = PostgresServer(server_directory / "own-postgres").start()
    yield server
    server.stop()


@pytest.fixture
def written_value(valkey: ValkeyServer) -> str:
    """Write a key and see it on disk."""
    with redis.Redis.from_url(valkey.url) as client:
        client.set("kept", "yes")
        # 1: the local append-only file has it, which `everysec` alone would give up to two seconds later.
        assert client.execute_command("WAITAOF", 1, 0, 120_000) == [1, 0]
    return "yes"


@pytest.fixture
def written_row(postgres: PostgresServer) -> str:
    """Commit a row."""
    with psycopg.connect(postgres.url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (value text)")
        connection.execute("INSERT INTO kept VALUES ('yes')")
    return "yes"


def value_of(valkey: ValkeyServer) -> str:
    with redis.Redis.from_url(valkey.url, decode_responses=True) as client:
        return str(client.get("kept"))


def last_row_of(postgres: PostgresServer) -> str:
    with psycopg.connect(postgres.url) as connection:
        row = connection.execute("SELECT value FROM kept LIMIT 1").fetchone()
    return str(row and row[0])


def fill(client: redis.Redis) -> None:
    for number in range(100):
        client.set(f"big-{number}", b"x" * 100_000)


def stop(server: AnyServer) -> None:
    server.stop()


def kill(server: AnyServer) -> None:
    server.kill()


def test_the_fixtures_lead_to_a_migrated_database_and_an_empty_valkey(
    redis_url: str, database_url: str
) -> None:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT count(*) > 0 FROM schema_versions").fetchone()
    with redis.Redis.from_url(redis_url) as client:
        keys = client.dbsize()

    assert row == (True,)
    assert keys == 0


@pytest.mark.parametrize("end", [stop, kill])
def test_valkey_keeps_its_data_and_address(
    valkey: ValkeyServer, written_value: str, end: Callable[[AnyServer], None]
) -> None:
    url = valkey.url

    end(valkey)
    with redis.Redis.from_url(url) as client, pytest.raises(redis.ConnectionError):
        client.ping()
    valkey.start()

    assert valkey.url == url
    assert value_of(valkey) == written_value


def test_valkey_never_evicts_and_writes_its_append_only_file(valkey: ValkeyServer) -> None:
    with redis.Redis.from_url(valkey.url, decode_responses=True) as client:
        settings = {
            name: client.config_get(name)[name]
            for name in (
                "maxmemory-policy",
                "appendonly",
                "appendfsync",
                "auto-aof-rewrite-min-size",
                "auto-aof-rewrite-percentage",
                "bind",
                "protected-mode",
            )
        }

    assert settings == {
        "maxmemory-policy": "noeviction",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "auto-aof-rewrite-min-size": str(256 * 2**20),
        "auto-aof-rewrite-percentage": "100",
        "bind": "127.0.0.1",
        "protected-mode": "yes",
    }


def test_a_valkey_with_a_memory_limit_refuses_what_does_not_fit(server_directory: Path) -> None:
    server = ValkeyServer(server_directory / "small-valkey", options={"maxmemory": "2mb"}).start()
    try:
        with redis.Redis.from_url(server.url) as client:
            client.set("small", b"x")
            with pytest.raises(redis.OutOfMemoryError):
                fill(client)
            kept = client.get("small")
    finally:
        server.stop()

    assert kept == b"x"


def test_a_valkey_can_follow_another(
    valkey: ValkeyServer, written_value: str, server_directory: Path
) -> None:
    options = {"replicaof": f"127.0.0.1 {valkey.port}"}
    with redis.Redis.from_url(valkey.url) as client:
        client.config_set("repl-diskless-sync-delay", 0)
    replica = ValkeyServer(server_directory / "replica", options=options).start()
    try:
        wait_until(
            lambda: value_of(replica) == written_value, what="the replica has the key", timeout_seconds=120
        )
    finally:
        replica.stop()


def test_a_frozen_valkey_answers_again_when_thawed(valkey: ValkeyServer, written_value: str) -> None:
    valkey.freeze()
    with redis.Redis.from_url(valkey.url, socket_timeout=0.3) as client, pytest.raises(redis.TimeoutError):
        client.ping()
    valkey.thaw()

    assert value_of(valkey) == written_value


@pytest.mark.parametrize("end", [stop, kill, PostgresServer.stop_immediate])
def test_postgres_keeps_its_data_and_address(
    postgres: PostgresServer, written_row: str, end: Callable[[PostgresServer], None]
) -> None:
    url = postgres.url

    with psycopg.connect(url) as connection:
        end(postgres)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    postgres.start()

    assert postgres.url == url
    assert last_row_of(postgres) == written_row


def test_postgres_syncs_every_commit(postgres: PostgresServer) -> None:
    with psycopg.connect(postgres.url) as connection:
        rows = connection.execute(
            "SELECT name, setting FROM pg_settings WHERE name IN"
            " ('fsync', 'synchronous_commit', 'full_page_writes', 'listen_addresses', 'max_connections')"
            " ORDER BY name"
        ).fetchall()

    assert rows == [
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("listen_addresses", "127.0.0.1"),
        ("max_connections", "200"),
        ("synchronous_commit", "on"),
    ]


def test_a_lock_file_that_names_a_living_stranger_does_not_keep_postgres_from_starting(
    postgres: PostgresServer, written_row: str, server_directory: Path
) -> None:
    lock = server_directory / "own-postgres" / "postmaster.pid"
    left_behind = lock.read_text()
    postgres.kill()

    lock.write_text(left_behind.replace(left_behind.splitlines()[0], str(os.getpid()), 1))
    postgres.start()

    assert last_row_of(postgres) == written_row


def test_a_second_postgres_is_kept_off_a_directory_in_use(
    postgres: PostgresServer, written_row: str, server_directory: Path
) -> None:
    second = PostgresServer(server_directory / "own-postgres")

    with pytest.raises(DirectoryInUse, match="another PostgreSQL"):
        second.start()

    assert last_row_of(postgres) == written_row


def test_a_half_made_data_directory_is_made_anew(server_directory: Path) -> None:
    unfinished = server_directory / "anew.unfinished"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")

    server = PostgresServer(server_directory / "anew").start()
    try:
        with psycopg.connect(server.url) as connection:
            row = connection.execute("SELECT current_database()").fetchone()
    finally:
        server.stop()

    assert row == ("cashback",)
    assert not unfinished.exists()


def test_a_frozen_postgres_answers_again_when_thawed(postgres: PostgresServer, written_row: str) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        postgres.freeze()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(postgres.url, connect_timeout=2)
        # A session of before is frozen too: what it is asked is answered after the thaw.
        with connection.pipeline():
            asked = connection.execute("SELECT 41 + 1")
            postgres.thaw()
        answer = asked.fetchone()

    assert answer == (42,)
    assert last_row_of(postgres) == written_row


def test_no_process_of_postgres_outlives_a_kill(postgres: PostgresServer) -> None:
    with psycopg.connect(postgres.url):
        postgres.kill()
        listed = subprocess.run(["ps", "-eo", "args"], check=True, capture_output=True, text=True).stdout  # noqa: S607

    assert str(postgres.process.pid) not in listed.split()
    assert "own-postgres" not in listed
    postgres.start()
