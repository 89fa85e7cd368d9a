"""The access token over its life: asked for, kept, renewed near its end, and what a failing endpoint does."""

import itertools
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.bearers import (
    CREDENTIALS,
    LIFETIME_SECONDS,
    THREADS,
    Clock,
    TokenSource,
    instances,
    soon,
    until_there,
)
from tests.support.raw_betcore import Answering, Peer, Request, in_turn, reply, silence
from worker.betcore.token_endpoint import TOKEN_PATH
from worker.errors import BearerUnavailable


def test_the_credentials_are_posted_and_the_token_is_kept(redis_url: str) -> None:
    with instances(TokenSource(), redis_url) as ([bearer], peer):
        tokens = {bearer.bearer(soon()) for _ in range(5)}

    assert tokens == {"token-1"}
    (request,) = peer.requests
    assert (request.path, json.loads(request.body)) == (TOKEN_PATH, CREDENTIALS)


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


@pytest.mark.parametrize(
    "answer", [reply(500, b'{"AccessToken": "x"}'), reply(302, b"", "Location: /"), reply(200, b" " * 70_000)]
)
def test_a_token_endpoint_that_fails_is_unavailable(redis_url: str, answer: Answering) -> None:
    with instances(answer, redis_url) as ([bearer], peer):
        with pytest.raises(BearerUnavailable):
            bearer.bearer(soon(0.5))

        assert len(peer.requests) == 1
