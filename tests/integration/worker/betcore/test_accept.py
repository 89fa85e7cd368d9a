"""The accept client against a real peer that behaves well, badly, and worse."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from deploy.local.ports import free_port
from producer.shared.outgoing import Caller
from tests.support.event_loop import LoopThread, loop_thread
from tests.support.raw_betcore import NEVER_ENDING, Answering, Peer, in_turn, raw, reply, serving, silence
from worker.betcore.accept import ACCEPT_PATH, MAX_REPLY_BYTES, AcceptClient, AcceptReply, Verdict
from worker.betcore.static_bearer import StaticBearer
from worker.domain.deadline import Deadline
from worker.errors import BearerUnavailable

BODY = b'{"ErrorCode": 200}'
# How long an attempt may take; a test as a whole has the suite's own limit, which is far above it.
# It is also long enough to send a request in it on a slow machine.
ATTEMPT_SECONDS = 1.5
PLENTY_SECONDS = 60.0


class Bearers:
    """Gives out tokens one after the other; the first `bad` ones are rejected by the peers below."""

    def __init__(self) -> None:
        self.given = 1
        self.rejections: list[str] = []

    async def bearer(self, deadline: Deadline) -> str:
        assert deadline.at_seconds <= time.monotonic() + PLENTY_SECONDS
        return f"token-{self.given}"

    def rejected(self, bearer: str) -> bool:
        self.rejections.append(bearer)
        self.given += 1
        return True

    def close(self) -> None:
        """There is nothing to close."""


class NoBearer:
    """Has no token to give."""

    async def bearer(self, deadline: Deadline) -> str:
        raise BearerUnavailable(f"none by {deadline.at_seconds > 0}")

    def rejected(self, bearer: str) -> bool:
        raise AssertionError(bearer)

    def close(self) -> None:
        """There is nothing to close."""


class Blocking:
    """An accept client as a thread sees it that waits for its answers."""

    def __init__(self, accept: AcceptClient, loop: LoopThread) -> None:
        self._accept = accept
        self._loop = loop
        self.sent: list[bytes] = []
        self.replies: list[AcceptReply] = []

    def send(self, body: bytes, deadline: Deadline) -> AcceptReply:
        def sent() -> Callable[[AcceptReply], None]:
            self.sent.append(body)
            return self.replies.append

        return self._loop.run(self._accept.send(body, deadline, sent))


@contextmanager
def accepting_at(url: str, bearers: Bearers | NoBearer | StaticBearer | None = None) -> Iterator[Blocking]:
    source = bearers or StaticBearer("static")
    accept = AcceptClient(Caller(), base_url=url, bearers=source)
    with loop_thread() as loop:
        yield Blocking(accept, loop)
        loop.run(accept.close())


@contextmanager
def accepting(
    answer: Answering, *, bearers: Bearers | NoBearer | StaticBearer | None = None
) -> Iterator[tuple[Blocking, Peer]]:
    with serving(answer) as peer, accepting_at(peer.url, bearers) as accept:
        yield accept, peer


def far() -> Deadline:
    return Deadline(time.monotonic() + PLENTY_SECONDS)


def soon() -> Deadline:
    return Deadline(time.monotonic() + ATTEMPT_SECONDS)


def test_an_accept_is_posted_as_json_with_the_bearer() -> None:
    with accepting(reply(200)) as (accept, peer):
        answer = accept.send(BODY, far())

    assert answer.verdict is Verdict.ACKNOWLEDGED
    (request,) = peer.requests
    assert (request.path, request.body, request.bearer) == (ACCEPT_PATH, BODY, "static")
    assert request.headers["content-type"] == "application/json"


def test_one_connection_serves_many_accepts() -> None:
    with accepting(reply(200)) as (accept, peer):
        for _ in range(5):
            accept.send(BODY, far())

    assert [request.connection for request in peer.requests] == [0] * 5


def test_a_connection_that_the_peer_closed_is_replaced() -> None:
    answers = in_turn(reply(200, b'{"ErrorCode": 200}', "Connection: close"), reply(200))
    with accepting(answers) as (accept, peer):
        verdicts = [accept.send(BODY, far()).verdict for _ in range(2)]

    assert verdicts == [Verdict.ACKNOWLEDGED] * 2
    assert [request.connection for request in peer.requests] == [0, 1]


@pytest.mark.parametrize("name", NEVER_ENDING)
def test_a_reply_that_never_ends_is_passing(name: str) -> None:
    with accepting(NEVER_ENDING[name]) as (accept, peer):
        answer = accept.send(BODY, soon())

        assert answer.verdict is Verdict.PASSING
        assert "Timeout" in answer.detail
        assert len(peer.requests) == 1


def test_the_deadline_of_the_event_cuts_a_longer_attempt() -> None:
    with accepting(silence) as (accept, _):
        answer = accept.send(BODY, Deadline(time.monotonic() + ATTEMPT_SECONDS))

    assert answer.verdict is Verdict.PASSING
    assert "Timeout" in answer.detail


def test_nothing_is_sent_after_the_deadline() -> None:
    with accepting(reply(200)) as (accept, peer):
        answer = accept.send(BODY, Deadline(time.monotonic() - 1))

    assert answer.verdict is Verdict.PASSING
    assert peer.requests == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"ErrorCode": 200}',
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n12\r\n{"ErrorCode": 200}',
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\njunk",
    ],
    ids=[
        "nothing",
        "half headers",
        "half a body",
        "half a chunk",
        "another protocol",
        "bad length",
        "no gzip",
    ],
)
def test_a_connection_that_is_cut_or_confused_is_passing(content: bytes) -> None:
    with accepting(raw(content)) as (accept, peer):
        assert accept.send(BODY, far()).verdict is Verdict.PASSING
        assert len(peer.requests) == 1


def test_a_reply_that_is_too_long_is_passing() -> None:
    padded = b'{"ErrorCode": 200, "Message": "' + b"x" * MAX_REPLY_BYTES + b'"}'
    with accepting(reply(200, padded)) as (accept, _):
        assert accept.send(BODY, far()).verdict is Verdict.PASSING


def test_nobody_at_the_port_is_passing() -> None:
    with accepting_at(f"http://127.0.0.1:{free_port()}") as accept:
        answer = accept.send(BODY, far())

    assert answer.verdict is Verdict.PASSING
    assert "ConnectError" in answer.detail
    assert "refused" in answer.detail


def test_redirects_are_not_followed() -> None:
    with serving(reply(200)) as elsewhere:
        redirect = reply(307, b'{"ErrorCode": 200}', f"Location: {elsewhere.url}{ACCEPT_PATH}")
        with accepting(redirect) as (accept, peer):
            answer = accept.send(BODY, far())

        assert answer.verdict is Verdict.PASSING
        assert len(peer.requests) == 1
        assert elsewhere.requests == []


def test_a_401_renews_the_bearer_and_sends_once_more() -> None:
    bearers = Bearers()
    with accepting(in_turn(reply(401, b""), reply(200)), bearers=bearers) as (accept, peer):
        answer = accept.send(BODY, far())

    assert answer.verdict is Verdict.ACKNOWLEDGED
    assert [request.bearer for request in peer.requests] == ["token-1", "token-2"]
    assert bearers.rejections == ["token-1"]
    assert len(accept.sent) == 2


class Once(Bearers):
    """Has one token and no other."""

    async def bearer(self, deadline: Deadline) -> str:
        if self.rejections:
            raise BearerUnavailable("no other")
        return await super().bearer(deadline)


def test_where_no_other_token_comes_the_401_is_what_betcore_said() -> None:
    with accepting(reply(401, b""), bearers=Once()) as (accept, _):
        answer = accept.send(BODY, far())

    assert (answer.verdict, answer.was_answered) == (Verdict.PASSING, True)
    assert answer.detail == "HTTP 401, and bearer_unavailable: no other"
    assert len(accept.sent) == 1


def test_a_second_401_is_passing() -> None:
    with accepting(reply(401, b""), bearers=Bearers()) as (accept, peer):
        answer = accept.send(BODY, far())

    assert answer.verdict is Verdict.PASSING
    assert len(peer.requests) == 2


def test_a_static_bearer_is_not_tried_twice() -> None:
    with accepting(reply(401, b"")) as (accept, peer):
        assert accept.send(BODY, far()).verdict is Verdict.PASSING
        assert len(peer.requests) == 1


def test_without_a_bearer_nothing_is_sent() -> None:
    with accepting(reply(200), bearers=NoBearer()) as (accept, peer):
        answer = accept.send(BODY, far())

    assert (answer.verdict, answer.detail) == (Verdict.PASSING, "bearer_unavailable: none by True")
    assert peer.requests == []
    assert accept.sent == []


def test_both_posts_of_a_401_share_one_attempts_time() -> None:
    with accepting(in_turn(reply(401, b""), silence), bearers=Bearers()) as (
        accept,
        peer,
    ):
        answer = accept.send(BODY, soon())

        assert answer.verdict is Verdict.PASSING
        assert len(peer.requests) == 2


def test_an_attempt_after_one_that_was_cut_off_starts_anew() -> None:
    with accepting(in_turn(silence, reply(200))) as (accept, peer):
        verdicts = [accept.send(BODY, until).verdict for until in (soon(), far())]

    assert verdicts == [Verdict.PASSING, Verdict.ACKNOWLEDGED]
    assert [request.connection for request in peer.requests] == [0, 1]
