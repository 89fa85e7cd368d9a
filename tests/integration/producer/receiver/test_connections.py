"""Whatever a peer does with its connections, the receiver goes on serving others. Decision 37."""

import socket
from contextlib import ExitStack

import pytest

from tests.support.raw_client import (
    POST,
    all_of,
    answered,
    assert_honest_is_served,
    connected,
    send_until_closed,
)
from tests.support.receiver import RunningReceiver

MANY = 12
SHARE = 8


# Little time and few connections.
RECEIVER = {
    "max_connections": MANY,
    "max_connections_per_address": SHARE,
    "request_timeout_seconds": 1,
}


@pytest.mark.parametrize("sent", [b"", b"\r\n"])
def test_a_connection_on_which_no_request_comes_is_closed(receiver: RunningReceiver, sent: bytes) -> None:
    with connected(receiver) as new, connected(receiver) as used:
        answered(used)
        new.sendall(sent)
        # What begins no head is no reason to stay, either.
        used.sendall(b"\r\n")

        assert (all_of(new), all_of(used)) == (b"", b"")


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
