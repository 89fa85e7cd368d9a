"""Heads and bodies of requests are bounded, in bytes and in time. Decision 37."""

import json
import socket

import pytest

from producer.receiver.http.protocol import MAX_HEAD_BYTES
from tests.support.raw_client import (
    ALIVE,
    POST,
    all_of,
    assert_honest_is_served,
    connected,
    envelope_of,
    replies_in,
    send_until_closed,
    status_of,
    trickled,
)
from tests.support.receiver import RunningReceiver, running_receiver

# Little time for a request.
RECEIVER = {"request_timeout_seconds": 1}


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
