"""Transactions on a kept connection: each reads its own replies, whatever became of the last. Real Valkey."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from deploy.local.processes import wait_until
from worker.queue.transport.multi import RedisMulti

KEY = "list"


class Taking:
    """Gives connections of a pool, and counts how many were asked for."""

    def __init__(self, pool: redis.ConnectionPool) -> None:
        self.pool = pool
        self.taken: list[Any] = []

    def __call__(self) -> Any:  # noqa: ANN401 - redis-py's connection
        self.taken.append(self.pool.get_connection())
        return self.taken[-1]


@pytest.fixture
def taking(redis_url: str) -> Iterator[Taking]:
    """Give connections without a health check."""
    with pool_of(redis_url) as pool:
        yield Taking(pool)


@pytest.fixture
def multi(taking: Taking) -> RedisMulti:
    """Give a RedisMulti, which keeps a connection of its own."""
    return RedisMulti(taking)


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """Give somebody else's client of the same Valkey."""
    with redis.Redis.from_url(redis_url) as other:
        yield other


@contextmanager
def pool_of(url: str, **options: Any) -> Iterator[redis.ConnectionPool]:  # noqa: ANN401 - redis-py's options
    pool = redis.ConnectionPool.from_url(url, **{"socket_timeout": 120.0, **options})
    try:
        yield pool
    finally:
        pool.disconnect()


def run(multi: RedisMulti, *commands: tuple[str, ...]) -> list[Any]:
    return multi.run(commands)


def assert_works(multi: RedisMulti) -> None:
    assert run(multi, ("SET", "works", "yes"), ("GET", "works")) == [b"OK", b"yes"]


def kill(client: redis.Redis, taking: Taking) -> None:
    """Cut all connections but the client's own, from the server's side."""
    assert client.client_kill_filter(skipme=True) >= len(taking.taken)


def test_the_replies_come_in_the_order_of_the_commands(multi: RedisMulti) -> None:
    assert run(multi, ("RPUSH", KEY, "a", "b"), ("LRANGE", KEY, "0", "-1"), ("RPOP", KEY, "5")) == [
        2,
        [b"a", b"b"],
        [b"b", b"a"],
    ]


def test_all_of_them_go_by_one_connection(multi: RedisMulti, taking: Taking) -> None:
    for _ in range(3):
        assert_works(multi)

    assert len(taking.taken) == 1


def test_a_command_that_fails_is_told_and_the_next_transaction_reads_its_own_replies(
    multi: RedisMulti, client: redis.Redis
) -> None:
    assert_works(multi)
    client.set(KEY, "no list")

    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        run(multi, ("SET", "other", "done"), ("RPOP", KEY, "5"))

    assert client.get("other") == b"done"
    assert_works(multi)


def test_what_redis_refuses_to_queue_is_not_done_in_part(multi: RedisMulti, client: redis.Redis) -> None:
    assert_works(multi)
    client.rpush(KEY, "a")

    with pytest.raises(redis.ResponseError, match="unknown command"):
        run(multi, ("RPOP", KEY, "5"), ("NOSUCHCOMMAND",))

    assert client.lrange(KEY, 0, -1) == [b"a"]
    assert_works(multi)


def test_one_that_is_cut_is_an_error_and_is_not_repeated(
    multi: RedisMulti, taking: Taking, client: redis.Redis
) -> None:
    assert_works(multi)
    client.client_pause(60_000, all=False)
    try:
        with ThreadPoolExecutor(1) as pool:
            run_ends = pool.submit(run, multi, ("RPUSH", KEY, "a"))
            wait_until(lambda: is_blocked(client), what="the transaction waits", timeout_seconds=120)
            kill(client, taking)
            with pytest.raises(redis.ConnectionError):
                run_ends.result()
    finally:
        client.client_unpause()

    assert client.llen(KEY) == 0
    assert_works(multi)


def is_blocked(client: redis.Redis) -> bool:
    """Say whether a command waits for the end of the pause."""
    return any("b" in each["flags"] for each in client.client_list())


def test_a_connection_that_was_cut_while_idle_is_replaced(
    multi: RedisMulti, taking: Taking, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.queue.transport.multi._IDLE_SECONDS", 0.0)
    assert_works(multi)
    kill(client, taking)

    assert_works(multi)


def test_a_lost_connection_finds_its_way_as_the_first_one_did(redis_url: str, client: redis.Redis) -> None:
    class Asking(redis.Connection):
        """Counts how often it was told to connect; one of sentinels asks them for the primary then."""

        asked = 0

        def connect(self) -> None:
            Asking.asked += 1
            super().connect()  # type: ignore[no-untyped-call] # redis-py left it untyped

    with pool_of(redis_url, connection_class=Asking) as pool:
        taking = Taking(pool)
        multi = RedisMulti(taking)
        assert_works(multi)
        asked_at_first = Asking.asked
        kill(client, taking)
        with pytest.raises(redis.ConnectionError):
            run(multi, ("GET", "works"))

        assert_works(multi)
        assert Asking.asked == asked_at_first + 1


def test_a_redis_that_says_nothing_ends_the_waiting(redis_url: str, client: redis.Redis) -> None:
    with pool_of(redis_url, socket_timeout=1.5) as pool:
        multi = RedisMulti(Taking(pool))
        assert_works(multi)
        client.client_pause(60_000, all=False)
        try:
            with pytest.raises((redis.TimeoutError, redis.ConnectionError)):
                run(multi, ("SET", "works", "no"))
        finally:
            client.client_unpause()

        assert_works(multi)
