"""The client's side of HTTP/1.1: what ends an answer, what belongs to it, and what is no answer at all."""

import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.support.raw_betcore import Answering, Peer, in_turn, raw, reply, serving
from worker.domain.deadline import Deadline
from worker.http.incoming import MAX_AROUND_BODY_BYTES
from worker.http.transport import DeadlineTransport
from worker.time_limit import cut, ends_by

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
# More than what two sockets' buffers take.
LONG = bytes(50_000_000)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def transport() -> Iterator[DeadlineTransport]:
    with DeadlineTransport(max_connections=2) as built:
        yield built


def keeping(*parts: bytes) -> Answering:
    """Answer with these bytes as they are, and keep the connection."""

    def answer(_peer: Peer, connection: object, _request: object) -> None:
        for part in parts:
            connection.sendall(part)  # type: ignore[attr-defined]

    return answer


def ask(transport: DeadlineTransport, url: str, **headers: str) -> tuple[int, bytes]:
    request = httpx.Request(
        "POST", url, content=b"x", headers=headers, extensions={"timeout": {"read": 120.0}}
    )
    response = transport.handle_request(request)
    try:
        return response.status_code, b"".join(response.iter_raw())
    finally:
        response.close()


@pytest.mark.parametrize(
    ("content", "body"),
    [
        (OK, b"ok"),
        (CHUNKED + b"1\r\no\r\n1\r\nk\r\n0\r\n\r\n", b"ok"),
        (CHUNKED + b"2\r\nok\r\n0\r\nX: y\r\n\r\n", b"ok"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000, b"x" * 200_000),
        (b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + OK, b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (OK + b"\r\n", b"ok"),
    ],
    ids=["length", "chunks", "trailer", "long", "interim answers", "no content", "a line break too many"],
)
def test_an_answer_that_says_where_it_ends_leaves_the_connection_in_use(
    transport: DeadlineTransport, content: bytes, body: bytes
) -> None:
    with serving(keeping(content)) as peer:
        assert [ask(transport, peer.url)[1] for _ in range(2)] == [body, body]

    assert [request.connection for request in peer.requests] == [0, 0]


def test_an_answer_in_many_pieces_is_one(transport: DeadlineTransport) -> None:
    with serving(keeping(*(bytes([byte]) for byte in OK))) as peer:
        assert ask(transport, peer.url) == (200, b"ok")


def test_an_answer_without_a_length_ends_with_its_connection(transport: DeadlineTransport) -> None:
    with serving(in_turn(raw(b"HTTP/1.1 200 OK\r\n\r\nall of it"), reply(200, b"next"))) as peer:
        assert ask(transport, peer.url) == (200, b"all of it")
        assert ask(transport, peer.url) == (200, b"next")

    assert [request.connection for request in peer.requests] == [0, 1]


@pytest.mark.parametrize("surplus", [OK.replace(b"ok", b"no"), b"junk"], ids=["a second answer", "junk"])
def test_what_follows_an_answer_is_never_read_as_the_next_one(
    transport: DeadlineTransport, surplus: bytes
) -> None:
    with serving(in_turn(keeping(OK + surplus), reply(200, b"next"))) as peer:
        assert ask(transport, peer.url) == (200, b"ok")
        assert ask(transport, peer.url) == (200, b"next")

    assert [request.connection for request in peer.requests] == [0, 1]


@pytest.mark.parametrize(
    "content",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * (MAX_AROUND_BODY_BYTES + 10),
        CHUNKED + b"0\r\nX: " + b"x" * (MAX_AROUND_BODY_BYTES + 10),
        b"SSH-2.0-OpenSSH\r\n",
    ],
    ids=[
        "two lengths",
        "length and chunks",
        "another protocol",
        "a head without end",
        "a trailer without end",
        "no HTTP",
    ],
)
def test_what_is_no_answer_is_an_error(transport: DeadlineTransport, content: bytes) -> None:
    with serving(keeping(content)) as peer, pytest.raises(httpx.RemoteProtocolError):
        ask(transport, peer.url)


@pytest.mark.parametrize("value", ["a\r\nB: c", "a\nb", "a\rb", "a\0b"])
def test_a_header_that_would_be_two_is_not_sent(transport: DeadlineTransport, value: str) -> None:
    with serving(reply(200)) as peer:
        with pytest.raises(httpx.LocalProtocolError):
            ask(transport, peer.url, authorization=value)

        assert ask(transport, peer.url) == (200, b'{"ErrorCode": 200, "Message": "Success"}')
    assert len(peer.requests) == 1


def test_a_body_of_unknown_length_is_not_sent(transport: DeadlineTransport) -> None:
    with serving(reply(200)) as peer:
        request = httpx.Request("POST", peer.url, content=iter([b"x"]))
        with pytest.raises(httpx.LocalProtocolError):
            transport.handle_request(request)

        assert peer.requests == []


@pytest.mark.parametrize("method", ["HEAD", "CONNECT"])
def test_what_has_an_answer_without_a_body_is_not_asked(transport: DeadlineTransport, method: str) -> None:
    with pytest.raises(httpx.LocalProtocolError):
        transport.handle_request(httpx.Request(method, "http://127.0.0.1:9/"))


def test_a_name_that_no_host_can_have_is_an_error(transport: DeadlineTransport) -> None:
    with pytest.raises(httpx.ConnectError):
        ask(transport, f"http://{'x' * 64}.example/")


def test_no_other_scheme_is_spoken(transport: DeadlineTransport) -> None:
    with pytest.raises(httpx.UnsupportedProtocol):
        ask(transport, "ftp://127.0.0.1/")


def test_a_request_that_nobody_reads_ends_in_time(transport: DeadlineTransport) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        ends_by(Deadline(time.monotonic() + 3)),
        pytest.raises(httpx.WriteTimeout),
    ):
        transport.handle_request(httpx.Request("POST", url_of(listener), content=LONG))


@pytest.mark.parametrize(
    ("operation", "content", "error"),
    [("read", b"x", httpx.ReadTimeout), ("write", LONG, httpx.WriteTimeout)],
)
def test_a_request_that_brings_its_own_timeout_ends_by_it(
    transport: DeadlineTransport, operation: str, content: bytes, error: type[Exception]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(error):
        transport.handle_request(
            httpx.Request("POST", url_of(listener), content=content, extensions={"timeout": {operation: 0.2}})
        )


def url_of(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}/"


def test_a_limit_that_is_over_cuts_to_nothing() -> None:
    with ends_by(Deadline(0.0)), pytest.raises(TimeoutError):
        cut(1.0)
