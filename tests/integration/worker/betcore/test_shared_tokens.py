"""The access token: real Token endpoint over HTTP, real Valkey between processes, many threads."""

import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import pytest
import redis
from kombu import Connection

from deploy.local.ports import free_port
from deploy.local.valkey import ValkeyServer
from producer.shared.outgoing import http_client
from tests.support.event_loop import LoopThread, loop_thread
from tests.support.raw_betcore import Answering, Peer, Request, in_turn, reply, serving, silence
from worker.betcore.bearer import LEAST_PAUSE_SECONDS, CachedBearer
from worker.betcore.shared_tokens import RedisTokens
from worker.betcore.token_endpoint import TOKEN_PATH, TokenEndpoint
from worker.domain.deadline import Deadline
from worker.errors import BearerUnavailable
from worker.metrics import Metrics

CREDENTIALS = {"PartnerClientId": "7", "Secret": "s"}
LIFETIME_SECONDS = 100
KEY = "cashback:bearer:7"
THREADS = 12


@dataclass
class Clock:
    """A wall clock that stands still, however slow the machine is, and how far it was put ahead."""

    ahead_seconds: float = 0.0
    _started_at: float = field(default_factory=time.time)

    def __call__(self) -> float:
        return self._started_at + self.ahead_seconds


@dataclass
class TokenSource:
    """Gives out token-1, token-2, …, each only after a moment in which all others can pile up."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    given: int = 0
    lifetime_seconds: float = LIFETIME_SECONDS

    def __call__(self, peer: Peer, connection: socket.socket, request: Request) -> None:
        with self.lock:
            self.given += 1
            number = self.given
        peer.closing.wait(0.1)
        body = {"AccessToken": f"token-{number}", "ExpiresIn": self.lifetime_seconds}
        reply(200, json.dumps(body).encode())(peer, connection, request)


def soon(seconds: float = 120.0) -> Deadline:
    return Deadline(time.monotonic() + seconds)


class Blocking:
    """A source of tokens as a thread sees it that waits for them."""

    def __init__(self, bearers: CachedBearer, loop: LoopThread) -> None:
        self._bearers = bearers
        self._loop = loop

    def bearer(self, deadline: Deadline) -> str:
        return self._loop.run(self._bearers.bearer(deadline))

    def rejected(self, bearer: str) -> bool:
        return self._loop.call(self._bearers.rejected, bearer)


@contextmanager
def instances(  # noqa: PLR0913 - what a test may want to be otherwise, keyword-only
    answer: Answering,
    redis_url: str,
    *,
    count: int = 1,
    clock: Clock | None = None,
    unanswered_seconds: float = 120.0,
    secret: str = CREDENTIALS["Secret"],
) -> Iterator[tuple[list[Blocking], Peer]]:
    """Build as many bearers as `count` processes would have, each with its own connections."""
    with ExitStack() as stack:
        peer = stack.enter_context(serving(answer))
        bearers = []
        for _ in range(count):
            client = stack.enter_context(http_client())
            options = {"socket_timeout": 120, "socket_connect_timeout": 120}
            connection = stack.enter_context(Connection(redis_url, transport_options=options))
            pool = connection.Pool(THREADS)
            stack.callback(pool.force_close_all)
            shared = RedisTokens(pool, name="7", secret=secret, timeout_seconds=120)
            endpoint = TokenEndpoint(
                client,
                base_url=peer.url,
                credentials=CREDENTIALS,
                timeout_seconds=120,
                clock=clock or time.time,
            )
            bearer = CachedBearer(
                endpoint,
                shared,
                metrics=Metrics(),
                random=lambda: 0.5,
                unanswered_seconds=unanswered_seconds,
                clock=clock or time.time,
            )
            # The servers that it may wait for end before.
            stack.callback(bearer.close)
            stack.callback(peer.closing.set)
            bearers.append(Blocking(bearer, stack.enter_context(loop_thread())))
        yield bearers, peer


def until_there(is_there: Callable[[], bool], bearer: Blocking) -> str:
    """Use the token until something has happened in the background; returns the last one that was given."""
    while not is_there():
        bearer.bearer(soon())
        time.sleep(0.01)
    return bearer.bearer(soon())


def test_the_credentials_are_posted_and_the_token_is_kept(redis_url: str) -> None:
    with instances(TokenSource(), redis_url) as ([bearer], peer):
        tokens = {bearer.bearer(soon()) for _ in range(5)}

    assert tokens == {"token-1"}
    (request,) = peer.requests
    assert (request.path, json.loads(request.body)) == (TOKEN_PATH, CREDENTIALS)


def test_many_threads_of_two_processes_fetch_exactly_once(redis_url: str) -> None:
    with instances(TokenSource(), redis_url, count=2) as (both, peer), ThreadPoolExecutor(THREADS) as threads:
        barrier = threading.Barrier(THREADS)

        def ask(number: int) -> str:
            barrier.wait(120)
            return both[number % 2].bearer(soon())

        tokens = set(threads.map(ask, range(THREADS)))

    assert tokens == {"token-1"}
    assert len(peer.requests) == 1


def test_a_token_near_its_end_is_renewed_by_one_while_the_others_use_it(redis_url: str) -> None:
    clock = Clock()
    release = threading.Event()

    def held(peer: Peer, connection: socket.socket, request: Request) -> None:
        release.wait(120)
        source(peer, connection, request)

    source = TokenSource()
    with instances(in_turn(source, held), redis_url, clock=clock) as ([bearer], peer):
        bearer.bearer(soon())
        clock.ahead_seconds = LIFETIME_SECONDS * 0.9
        meanwhile = {until_there(lambda: len(peer.requests) == 2, bearer)}
        meanwhile |= {bearer.bearer(soon()) for _ in range(5)}
        release.set()

        assert meanwhile == {"token-1"}
        assert (
            until_there(lambda: source.given == 2 and bearer.bearer(soon()) == "token-2", bearer) == "token-2"
        )
        assert len(peer.requests) == 2


def test_a_token_that_has_ended_is_not_given_out(redis_url: str) -> None:
    clock = Clock()
    with instances(in_turn(TokenSource(), reply(503, b"")), redis_url, clock=clock) as ([bearer], _):
        bearer.bearer(soon())
        clock.ahead_seconds = LIFETIME_SECONDS + 1

        reasons: list[str] = []
        while not any("HTTP 503" in reason for reason in reasons):
            with pytest.raises(BearerUnavailable) as raised:
                bearer.bearer(soon(0.2))
            reasons.append(str(raised.value))


@pytest.mark.parametrize("answer", [reply(503, b""), silence], ids=["503", "silence"])
def test_a_renewal_that_fails_leaves_the_old_token_and_all_the_time_to_use_it(
    redis_url: str, answer: Answering
) -> None:
    clock = Clock()
    with instances(in_turn(TokenSource(), answer), redis_url, clock=clock) as ([bearer], peer):
        bearer.bearer(soon())
        clock.ahead_seconds = LIFETIME_SECONDS * 0.9
        asked = []
        while len(peer.requests) < 2:
            asked.append(bearer.bearer(soon()))
        asked.append(bearer.bearer(soon()))

        assert set(asked) == {"token-1"}


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


def test_a_call_that_hangs_does_not_keep_the_next_one_from_being_made(redis_url: str) -> None:
    # Given a Token endpoint that never answers its first calls, and many who wait for a token
    source = TokenSource()
    calls = itertools.count(1)

    def hangs_at_first(peer: Peer, connection: socket.socket, request: Request) -> None:
        (silence if next(calls) <= 2 else source)(peer, connection, request)

    with (
        instances(hangs_at_first, redis_url, count=2, unanswered_seconds=0.3) as (bearers, peer),
        ThreadPoolExecutor(2 * THREADS) as pool,
    ):
        waiting = [pool.submit(one.bearer, soon()) for one in bearers for _ in range(THREADS)]

        # Then all have the token of a later call, whoever made it, though the first two still hang
        assert {each.result() for each in waiting} == {"token-1"}
        assert len(peer.requests) >= 3


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
    with instances(TokenSource(), redis_url) as ([bearer], _), redis.Redis.from_url(redis_url) as client:
        client.set(KEY, stored)

        assert bearer.bearer(soon()) == "token-1"


@pytest.mark.parametrize(
    "answer", [reply(500, b'{"AccessToken": "x"}'), reply(302, b"", "Location: /"), reply(200, b" " * 70_000)]
)
def test_a_token_endpoint_that_fails_is_unavailable(redis_url: str, answer: Answering) -> None:
    with instances(answer, redis_url) as ([bearer], peer):
        with pytest.raises(BearerUnavailable):
            bearer.bearer(soon(0.5))

        assert len(peer.requests) == 1
