"""The proxy breaks what it says it breaks, and nothing else."""

import socket
import threading
from collections.abc import Iterator

import pytest

from deploy.local.ports import LOCALHOST
from deploy.local.processes import wait_until
from tests.faults.proxy import (
    HALF_OPEN,
    HOLD_REPLIES,
    HOLD_REQUESTS,
    PASS,
    REFUSE,
    Behaviour,
    Direction,
    Proxy,
)

SECONDS = 120.0


def _echo(listener: socket.socket) -> None:
    """Send everything back; ends when the listener is closed."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_echo_one, args=(connection,), daemon=True).start()


def _echo_one(connection: socket.socket) -> None:
    with connection:
        try:
            while data := connection.recv(1_024):
                connection.sendall(data)
        except ConnectionError:
            return


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """Give a proxy before a server that echoes."""
    with socket.create_server((LOCALHOST, 0)) as listener:
        thread = threading.Thread(target=_echo, args=(listener,), daemon=True)
        thread.start()
        with Proxy(target_port=listener.getsockname()[1]) as proxy:
            yield proxy
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection((LOCALHOST, proxy.port), timeout=SECONDS)


def waits(proxy: Proxy, direction: Direction) -> None:
    wait_until(lambda: proxy.held(direction) == 1, what="bytes are held", timeout_seconds=SECONDS)


def test_passes_bytes_both_ways(proxy: Proxy) -> None:
    with connect(proxy) as client:
        client.sendall(b"hello")

        assert client.recv(100) == b"hello"


@pytest.mark.parametrize(
    ("behaviour", "direction"),
    [
        (HOLD_REQUESTS, Direction.REQUESTS),
        (HOLD_REPLIES, Direction.REPLIES),
        (HALF_OPEN, Direction.REQUESTS),
    ],
)
def test_what_was_held_goes_on_when_it_may(proxy: Proxy, behaviour: Behaviour, direction: Direction) -> None:
    with connect(proxy) as client:
        proxy.behave(behaviour)
        client.sendall(b"hello")
        waits(proxy, direction)

        proxy.behave(PASS)

        assert client.recv(100) == b"hello"


def test_a_cut_resets_a_connection_with_what_is_held_of_it(proxy: Proxy) -> None:
    with connect(proxy) as client:
        proxy.behave(HOLD_REPLIES)
        client.sendall(b"hello")
        waits(proxy, Direction.REPLIES)

        assert proxy.cut() == 1

        with pytest.raises(ConnectionResetError):
            client.recv(100)
        assert proxy.held(Direction.REPLIES) == 0


def test_refuses_connections_until_it_passes_them_again(proxy: Proxy) -> None:
    proxy.behave(REFUSE)
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)

    proxy.behave(PASS)

    with connect(proxy) as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"


def test_stalls_byte_by_byte(proxy: Proxy) -> None:
    proxy.behave(Behaviour(byte_seconds=0.01))
    with connect(proxy) as client:
        client.sendall(b"hello")

        received = [client.recv(100) for _ in range(5)]

    assert b"".join(received) == b"hello"


def test_ends_the_other_side_when_one_ends(proxy: Proxy) -> None:
    with connect(proxy) as client:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)

        assert client.recv(100) == b"hello"
        assert client.recv(100) == b""
