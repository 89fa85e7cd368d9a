"""A peer of the receiver on a raw socket, which may send what no client would."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.receiver import RunningReceiver

POST = b"POST /cashback-payments/make HTTP/1.1\r\nHost: x\r\n"
ALIVE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


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


def replies_in(received: bytes) -> list[bytes]:
    return [b"HTTP/1.1 " + each for each in received.split(b"HTTP/1.1 ")[1:]]


def answered(peer: socket.socket) -> None:
    """Send a request on this connection and read its answer."""
    peer.sendall(ALIVE)
    assert status_of(peer.recv(65_536)) == 200
