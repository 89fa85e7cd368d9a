"""Kept-alive connections: used again, but not when their server has closed them, and not for ever."""

import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from producer.protocol.reply import ReplyUnreadable, read_bounded
from tests.support.raw_betcore import Peer, Request, in_turn, raw, reply, serving, silence
from worker.domain.deadline import Deadline
from worker.http.connections import KEEPALIVE_SECONDS, Connections
from worker.http.http11 import Connection, Origin, Timeouts
from worker.http.transport import DeadlineTransport
from worker.time_limit import ends_by

PLENTY_SECONDS = 120


class Clock:
    """A monotonic clock that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def transport() -> Iterator[DeadlineTransport]:
    with DeadlineTransport(max_connections=1) as built:
        yield built


def ends_in(seconds: float) -> Deadline:
    return Deadline(time.monotonic() + seconds)


def post(
    transport: DeadlineTransport, url: str, *, content: bytes = b"x", limit: int = 1_000
) -> bytes | None:
    response = transport.handle_request(httpx.Request("POST", url, content=content))
    try:
        return read_bounded(response, max_bytes=limit)
    except ReplyUnreadable:
        return None
    finally:
        response.close()


def test_a_connection_is_used_again(transport: DeadlineTransport) -> None:
    with serving(reply(200)) as peer, ends_by(ends_in(PLENTY_SECONDS)):
        for _ in range(3):
            post(transport, peer.url)

    assert {request.connection for request in peer.requests} == {peer.requests[0].connection}
    assert [request.body for request in peer.requests] == [b"x"] * 3


def test_a_connection_that_its_server_has_closed_is_not_used_again(transport: DeadlineTransport) -> None:
    hung_up = threading.Semaphore(0)

    def answer_and_hang_up(peer: Peer, connection: socket.socket, request: Request) -> None:
        reply(200, b"ok")(peer, connection, request)
        connection.shutdown(socket.SHUT_RDWR)
        hung_up.release()

    with serving(answer_and_hang_up) as peer, ends_by(ends_in(PLENTY_SECONDS)):
        for _ in range(3):
            assert post(transport, peer.url) == b"ok"
            assert hung_up.acquire(timeout=PLENTY_SECONDS)

    assert len({request.connection for request in peer.requests}) == 3


def test_what_is_left_of_a_long_reply_is_never_read_as_the_next_one(transport: DeadlineTransport) -> None:
    answers = in_turn(reply(200, b"a" * 100_000), reply(200, b"b"))
    with serving(answers) as peer, ends_by(ends_in(PLENTY_SECONDS)):
        assert post(transport, peer.url, limit=10) is None
        assert post(transport, peer.url) == b"b"


def test_a_body_of_any_length_arrives(transport: DeadlineTransport) -> None:
    content = bytes(range(256)) * 1_000
    with serving(reply(200)) as peer, ends_by(ends_in(PLENTY_SECONDS)):
        post(transport, peer.url, content=content)

    assert peer.requests[0].body == content


def test_no_more_connections_are_in_use_than_allowed_and_who_waits_for_one_ends_in_time(
    transport: DeadlineTransport,
) -> None:
    with serving(silence) as peer:
        first = threading.Thread(target=fails_in_time, args=(transport, peer.url, PLENTY_SECONDS))
        first.start()
        while not peer.requests:
            time.sleep(0.01)

        fails_in_time(transport, peer.url, 0.1)

        assert len(peer.requests) == 1
        peer.closing.set()
        first.join()


def fails_in_time(transport: DeadlineTransport, url: str, seconds: float) -> None:
    with ends_by(ends_in(seconds)), pytest.raises(httpx.TransportError):
        post(transport, url)


def test_a_request_that_fails_leaves_its_place_to_the_next_one(transport: DeadlineTransport) -> None:
    with (
        serving(in_turn(raw(b""), raw(b"nonsense\r\n\r\n"), reply(200, b"ok"))) as peer,
        ends_by(ends_in(PLENTY_SECONDS)),
    ):
        for _ in range(2):
            with pytest.raises(httpx.TransportError):
                post(transport, peer.url)
        assert post(transport, peer.url) == b"ok"


def test_connections_that_idle_for_long_are_closed_by_the_next_one_that_comes_back() -> None:
    clock = Clock()
    with serving(reply(200)) as peer, ends_by(ends_in(PLENTY_SECONDS)):
        url = httpx.URL(peer.url)
        origin = Origin(host=url.host, port=url.port or 0, ssl_context=None)
        connections = Connections(lambda: Connection(origin), monotonic=clock)
        both = [connections.take(), connections.take()]
        for each in both:
            exchange(each)
            connections.give_back(each)
        clock.now += KEEPALIVE_SECONDS + 1

        taken = connections.take()
        connections.give_back(taken)

        assert [each.can_serve_again for each in both] == [False, True]
        connections.close()
        assert [each.can_serve_again for each in both] == [False, False]


def exchange(connection: Connection) -> bytes:
    connection.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", Timeouts())
    connection.read_head(Timeouts())
    return b"".join(connection.read_body(Timeouts()))
