"""Whatever a peer does with its connections, the receiver goes on serving others. Decision 37."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import redis

from deploy.local.postgres import PostgresServer
from deploy.local.valkey import ValkeyServer
from producer.receiver.http_protocol import MAX_HEAD_BYTES
from tests.support.books import database_of
from tests.support.receiver import RunningReceiver, running_receiver

MANY = 12
SHARE = 8
POST = b"POST /cashback-payments/make HTTP/1.1\r\nHost: x\r\n"
ALIVE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def receiver(
    valkey_server: ValkeyServer, postgres_server: PostgresServer, migrated_template: str
) -> Iterator[RunningReceiver]:
    """One receiver for the whole module, with little time and few connections."""
    with redis.Redis.from_url(valkey_server.url) as client:
        client.flushall()
    with (
        database_of(postgres_server, migrated_template) as url,
        running_receiver(
            redis_url=valkey_server.url,
            database_url=url,
            max_connections=MANY,
            max_connections_per_address=SHARE,
            request_timeout_seconds=1,
        ) as running,
    ):
        yield running


@contextmanager
def connected(receiver: RunningReceiver, *, source: str = "127.0.0.1") -> Iterator[socket.socket]:
    url = receiver.client.base_url
    with socket.create_connection(
        ("127.0.0.1", url.port or 80), timeout=120, source_address=(source, 0)
    ) as peer:
        yield peer


def all_of(peer: socket.socket) -> bytes:
    """Return what comes until the receiver closes; a time-out of 120 s fails the test."""
    received = b""
    try:
        while piece := peer.recv(65_536):
            received += piece
    except ConnectionError:
        pass
    return received


def send_until_closed(peer: socket.socket, piece: bytes, *, most: int) -> int:
    """Send the piece over and over; return how many bytes went out before the receiver closed."""
    sent = 0
    try:
        while sent < most:
            sent += peer.send(piece)
    except ConnectionError:
        pass
    return sent


def status_of(reply: bytes) -> int:
    return int(reply.split(b" ", 2)[1])


def envelope_of(reply: bytes) -> dict[str, object]:
    envelope: dict[str, object] = json.loads(reply.partition(b"\r\n\r\n")[2])
    return envelope


def assert_honest_is_served(receiver: RunningReceiver, *, source: str = "127.0.0.1") -> None:
    # The token is not new: what counts is that it is read, verified and answered.
    body = json.dumps(receiver.token()).encode()
    with connected(receiver, source=source) as peer:
        peer.sendall(POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert status_of(all_of(peer)) == 200


def test_a_head_of_32_megabytes_is_refused_after_the_first_kilobytes(receiver: RunningReceiver) -> None:
    with connected(receiver) as peer:
        peer.sendall(POST + b"X-Long: ")
        sent = send_until_closed(peer, b"a" * 65_536, most=32 * 2**20)

    assert sent < 32 * 2**20
    assert_honest_is_served(receiver)


@pytest.mark.parametrize("line", [b"X-Long: " + b"a" * MAX_HEAD_BYTES, b"A: b\r\n" * (MAX_HEAD_BYTES // 6)])
def test_a_head_beyond_its_limit_is_answered_431_and_the_connection_closed(
    receiver: RunningReceiver, line: bytes
) -> None:
    with connected(receiver) as peer:
        peer.sendall(POST + line + b"\r\n")
        reply = all_of(peer)

    assert (status_of(reply), envelope_of(reply)["ErrorCode"]) == (431, 103753)
    assert b"connection: close" in reply.lower()


def test_a_head_within_its_limit_is_served_also_after_others(receiver: RunningReceiver) -> None:
    long = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * (MAX_HEAD_BYTES - 100)

    with connected(receiver) as peer:
        for _ in range(3):
            peer.sendall(long + b"\r\n\r\n")
            assert status_of(peer.recv(65_536)) == 200


@pytest.mark.parametrize("begun", [b"POST /cash", POST, POST + b"X-A: b\r\nX-", ALIVE + POST])
def test_a_head_that_does_not_end_is_answered_408_and_the_connection_closed(
    receiver: RunningReceiver, begun: bytes
) -> None:
    with connected(receiver) as peer:
        peer.sendall(begun)
        reply = all_of(peer)

    last = reply[reply.rindex(b"HTTP/1.1 ") :]
    assert (status_of(last), envelope_of(last)["ErrorCode"]) == (408, 103753)


@pytest.mark.parametrize("sent", [b"", b"\r\n"])
def test_a_connection_on_which_no_request_comes_is_closed(receiver: RunningReceiver, sent: bytes) -> None:
    with connected(receiver) as new, connected(receiver) as used:
        answered(used)
        new.sendall(sent)
        # What begins no head is no reason to stay, either.
        used.sendall(b"\r\n")

        assert (all_of(new), all_of(used)) == (b"", b"")


def test_a_head_that_trickles_is_cut_off(receiver: RunningReceiver) -> None:
    with connected(receiver) as peer:
        peer.sendall(POST)
        peer.settimeout(0.05)
        received = trickled(peer, b"X-A: b\r\n")

    assert status_of(received) == 408


def test_a_body_that_trickles_is_answered_408_and_the_connection_closed(receiver: RunningReceiver) -> None:
    with connected(receiver) as peer:
        peer.sendall(POST + b"Content-Length: 16000\r\n\r\n")
        peer.settimeout(0.05)
        reply = trickled(peer, b"a")

    assert (status_of(reply), envelope_of(reply)["ErrorCode"]) == (408, 103753)
    assert b"connection: close" in reply.lower()


def trickled(peer: socket.socket, piece: bytes) -> bytes:
    """Send the piece again and again until the receiver closes; return what it said."""
    received = b""
    while True:
        try:
            peer.sendall(piece)
            came = peer.recv(65_536)
        except TimeoutError:
            continue
        except ConnectionError:
            return received
        if not came:
            return received
        received += came


@pytest.mark.parametrize(
    ("start", "piece", "status"),
    [
        (POST + b"Content-Length: 100000000000\r\n\r\n", b"a" * 65_536, 413),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"a" * 65_536 + b"\r\n", 413),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-Long: ", b"a" * 65_536, 408),
        (b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000000\r\n\r\n", b"a" * 65_536, 404),
        (ALIVE[:-2] + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n" * 10_000, 200),
    ],
    ids=["413 by its length", "413 by its chunks", "trailers", "404", "200"],
)
def test_an_endless_body_is_not_read_on_after_its_answer(
    receiver: RunningReceiver, start: bytes, piece: bytes, status: int
) -> None:
    with connected(receiver) as peer:
        peer.sendall(start + piece)
        reply = peer.recv(65_536) if status != 408 else b""
        sent = send_until_closed(peer, piece, most=256 * 2**20)

    assert sent < 256 * 2**20
    if reply:
        assert status_of(reply) == status
    assert_honest_is_served(receiver)


def test_trailers_are_bounded_in_bytes_however_long_they_may_take(redis_url: str, database_url: str) -> None:
    with (
        running_receiver(
            redis_url=redis_url, database_url=database_url, request_timeout_seconds=60
        ) as receiver,
        connected(receiver) as peer,
    ):
        peer.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-Long: ")
        sent = send_until_closed(peer, b"a" * 65_536, most=64 * 2**20)

    assert sent < 64 * 2**20


def test_the_reply_to_a_body_that_is_too_large_can_be_read_while_it_is_still_sent(
    receiver: RunningReceiver,
) -> None:
    with connected(receiver) as peer:
        peer.sendall(POST + b"Content-Length: 900000\r\n\r\n")
        # Its answer is there, and it goes on sending: nothing of that fails.
        peer.recv(1, socket.MSG_PEEK)
        for _ in range(9):
            peer.sendall(b"a" * 100_000)
        reply = all_of(peer)

    assert (status_of(reply), envelope_of(reply)["ErrorCode"]) == (413, 103753)
    assert b"connection: close" in reply.lower()


def test_a_body_that_comes_after_its_head_leaves_the_connection_open(receiver: RunningReceiver) -> None:
    body = json.dumps(receiver.token()).encode()
    with connected(receiver) as peer:
        for _ in range(2):
            peer.sendall(POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
            # By now the head alone has been read.
            assert status_of(peer.recv(65_536)) == 100
            peer.sendall(body)
            reply = peer.recv(65_536)
            assert status_of(reply) == 200
            assert b"connection: close" not in reply.lower()


def test_what_is_not_http_is_answered_400_in_the_envelope(receiver: RunningReceiver) -> None:
    with connected(receiver) as peer:
        peer.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        reply = all_of(peer)

    assert (status_of(reply), envelope_of(reply)["ErrorCode"]) == (400, 103753)


def test_pipelined_requests_are_answered_in_order_and_too_many_are_not_taken(
    receiver: RunningReceiver,
) -> None:
    with connected(receiver) as peer:
        peer.sendall(ALIVE * 3 + b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        few = all_of(peer)
    with connected(receiver) as peer:
        peer.sendall(ALIVE * 5_000)
        many = all_of(peer)

    assert [status_of(each) for each in replies_in(few)] == [200, 200, 200, 404]
    assert 0 < len(replies_in(many)) < 100


def replies_in(received: bytes) -> list[bytes]:
    return [b"HTTP/1.1 " + each for each in received.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize("begun", [POST, POST + b"Content-Length: 100\r\n\r\nhalf", b""])
@pytest.mark.parametrize("honest", ["127.0.0.1", "127.0.0.9"])
def test_unfinished_requests_on_all_connections_keep_no_honest_make_out(
    receiver: RunningReceiver, begun: bytes, honest: str
) -> None:
    with ExitStack() as stack:
        for number in range(3 * MANY):
            peer = stack.enter_context(connected(receiver, source=f"127.0.0.{1 + number % 3}"))
            peer.sendall(begun)

        assert_honest_is_served(receiver, source=honest)


def test_an_address_beyond_its_share_closes_connections_of_its_own(receiver: RunningReceiver) -> None:
    with ExitStack() as stack:
        other = stack.enter_context(connected(receiver, source="127.0.0.7"))
        answered(other)
        peers = [stack.enter_context(connected(receiver, source="127.0.0.8")) for _ in range(SHARE)]
        for peer in peers:
            answered(peer)
        answered(stack.enter_context(connected(receiver, source="127.0.0.8")))

        assert all_of(peers[0]) == b""
        for peer in (*peers[1:], other):
            answered(peer)


def test_idle_connections_are_closed_when_room_is_needed(receiver: RunningReceiver) -> None:
    with ExitStack() as stack:
        idle = [
            stack.enter_context(connected(receiver, source=f"127.0.0.{20 + number // 6}"))
            for number in range(MANY)
        ]
        for peer in idle:
            answered(peer)

        answered(stack.enter_context(connected(receiver, source="127.0.0.30")))
        assert all_of(idle[0]) == b""

        # What was used since does not go next.
        answered(idle[1])
        answered(stack.enter_context(connected(receiver, source="127.0.0.31")))
        assert all_of(idle[2]) == b""
        answered(idle[1])


def test_a_peer_that_reads_no_answer_is_cut_off(receiver: RunningReceiver) -> None:
    with connected(receiver) as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        # More answers than the buffers between hold, and then the peer's own sending stops.
        sent = send_until_closed(peer, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", most=256 * 2**20)

    assert sent < 256 * 2**20
    assert_honest_is_served(receiver)


def answered(peer: socket.socket) -> None:
    """Send a request on this connection and read its answer."""
    peer.sendall(ALIVE)
    assert status_of(peer.recv(65_536)) == 200
