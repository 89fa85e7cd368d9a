"""The access token, shared by processes through a real Valkey: fetched once, replaced once, and secret."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from deploy.local.ports import free_port
from deploy.local.valkey import ValkeyServer
from tests.support.bearers import (
    CREDENTIALS,
    KEY,
    LIFETIME_SECONDS,
    NAME,
    THREADS,
    Clock,
    TokenSource,
    instances,
    soon,
    until_there,
)
from worker.betcore.bearer import LEAST_PAUSE_SECONDS
from worker.betcore.shared_tokens import cipher_of
from worker.errors import BearerUnavailable


def test_many_threads_of_two_processes_fetch_exactly_once(redis_url: str) -> None:
    with instances(TokenSource(), redis_url, count=2) as (both, peer), ThreadPoolExecutor(THREADS) as threads:
        barrier = threading.Barrier(THREADS)

        def ask(number: int) -> str:
            barrier.wait(120)
            return both[number % 2].bearer(soon())

        tokens = set(threads.map(ask, range(THREADS)))

    assert tokens == {"token-1"}
    assert len(peer.requests) == 1


def test_a_rejected_token_is_replaced_once_for_all_processes(redis_url: str) -> None:
    with instances(TokenSource(), redis_url, count=2) as ([one, other], peer):
        assert (one.bearer(soon()), other.bearer(soon())) == ("token-1", "token-1")

        assert [one.rejected("token-1"), other.rejected("token-1")] == [True, True]
        tokens = {one.bearer(soon()), other.bearer(soon())}
        one.rejected("token-1")

        assert tokens == {"token-2"}
        assert one.bearer(soon()) == "token-2"
        assert len(peer.requests) == 2


def test_a_rejected_token_that_is_still_shared_is_not_taken_back(redis_url: str) -> None:
    with instances(TokenSource(), redis_url) as ([bearer], _), redis.Redis.from_url(redis_url) as client:
        bearer.bearer(soon())
        shared = client.get(KEY)
        assert isinstance(shared, bytes)
        bearer.rejected("token-1")
        client.set(KEY, shared)

        assert bearer.bearer(soon()) == "token-2"


def test_the_shared_token_cannot_be_read_in_redis(redis_url: str) -> None:
    with instances(TokenSource(), redis_url) as ([bearer], _), redis.Redis.from_url(redis_url) as client:
        text = bearer.bearer(soon())

        for key in client.scan_iter("cashback:bearer:*"):
            assert text.encode() not in (client.get(key) or b"")


@pytest.mark.parametrize(
    "stored", [b"", b"garbage", b'{"text": "planted", "issued_at": 1, "expires_at": 9e99}']
)
def test_what_somebody_else_wrote_there_is_no_token(redis_url: str, stored: bytes) -> None:
    with instances(TokenSource(), redis_url) as ([bearer], _), redis.Redis.from_url(redis_url) as client:
        client.set(KEY, stored)

        assert bearer.bearer(soon()) == "token-1"


def test_who_has_another_secret_reads_no_token(redis_url: str) -> None:
    source = TokenSource()
    with (
        instances(source, redis_url) as ([one], _),
        instances(source, redis_url, secret="other") as ([two], _),
    ):
        assert (one.bearer(soon()), two.bearer(soon())) == ("token-1", "token-2")


def test_without_redis_each_process_has_its_own_token() -> None:
    with instances(TokenSource(), f"redis://127.0.0.1:{free_port()}/0", count=2) as ([one, other], peer):
        tokens = {one.bearer(soon()), one.bearer(soon()), other.bearer(soon())}
        one.rejected("token-1")

        assert tokens == {"token-1", "token-2"}
        assert one.bearer(soon()) == "token-3"
        assert len(peer.requests) == 3


def test_a_redis_that_dies_later_takes_no_token_along(redis_url: str, valkey_server: ValkeyServer) -> None:
    clock = Clock()
    with instances(TokenSource(), redis_url, clock=clock) as ([bearer], _):
        bearer.bearer(soon())
        valkey_server.kill()
        try:
            kept = bearer.bearer(soon())
            clock.ahead_seconds = LIFETIME_SECONDS * 0.9
            renewed = until_there(lambda: bearer.bearer(soon()) == "token-2", bearer)
        finally:
            valkey_server.start()

        assert (kept, renewed) == ("token-1", "token-2")


def test_a_process_that_died_while_it_renewed_holds_nobody_up_for_long(redis_url: str) -> None:
    with instances(TokenSource(), redis_url) as ([bearer], peer), redis.Redis.from_url(redis_url) as client:
        client.set(f"{KEY}:lock", "a process that is gone", px=300)

        assert bearer.bearer(soon()) == "token-1"
        assert len(peer.requests) == 1


def test_while_another_process_renews_and_there_is_no_token_the_wait_is_bounded(redis_url: str) -> None:
    with instances(TokenSource(), redis_url) as ([bearer], peer), redis.Redis.from_url(redis_url) as client:
        client.set(f"{KEY}:lock", "a process that is slow", px=60_000)

        with pytest.raises(BearerUnavailable, match="another process"):
            bearer.bearer(soon(0.3))

        assert peer.requests == []


@pytest.mark.parametrize("taken", ["SET", "LPUSH"])
def test_a_lock_that_never_ends_is_not_waited_for_for_ever(redis_url: str, taken: str) -> None:
    with (
        instances(TokenSource(), redis_url, believed_seconds=0.3) as ([bearer], peer),
        redis.Redis.from_url(redis_url) as client,
    ):
        client.execute_command(taken, f"{KEY}:lock", "somebody who writes to Redis")

        assert bearer.bearer(soon()) == "token-1"
        assert len(peer.requests) == 1


def test_the_shared_token_ends_with_the_token_and_the_lock_soon_after_the_call(redis_url: str) -> None:
    with instances(TokenSource(), redis_url) as ([bearer], _), redis.Redis.from_url(redis_url) as client:
        bearer.bearer(soon())

        ttl_ms = client.pttl(KEY)
        assert isinstance(ttl_ms, int)
        assert 0 < ttl_ms <= LIFETIME_SECONDS * 1000
        lock_ms = client.pttl(f"{KEY}:lock")
        assert isinstance(lock_ms, int)
        assert lock_ms <= LEAST_PAUSE_SECONDS * 1000


@pytest.mark.parametrize(
    "stored",
    [
        "junk",
        "[]",
        '{"text": "x"}',
        '{"text": "evil", "issued_at": 0, "expires_at": NaN}',
        '{"text": "evil", "issued_at": 0, "expires_at": 1e999}',
        '{"text": "evil\\r\\nX: 1", "issued_at": 0, "expires_at": 9999999999}',
        '{"text": "evil", "issued_at": 0, "expires_at": ' + "9" * 400 + "}",
    ],
)
def test_a_shared_token_that_makes_no_sense_is_replaced(redis_url: str, stored: str) -> None:
    cipher = cipher_of(CREDENTIALS["Secret"], name=NAME)
    with instances(TokenSource(), redis_url) as ([bearer], _), redis.Redis.from_url(redis_url) as client:
        client.set(KEY, cipher.encrypt(stored.encode()))

        assert bearer.bearer(soon()) == "token-1"
