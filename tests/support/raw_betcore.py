"""A BETCORE made of raw sockets, which answers as it is told: also in ways that no web server would."""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

SUCCESS: Final = b'{"ErrorCode": 200, "Message": "Success"}'
_POLL_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def bearer(self) -> str | None:
        """The access token that it carries."""
        kind, _, token = self.headers.get("authorization", "").partition(" ")
        return token if kind == "Bearer" else None


Answering = Callable[["Peer", socket.socket, Request], None]


@dataclass
class Peer:
    """A server on 127.0.0.1; `answer` is called for each request and writes what it likes to the socket.

    With `tls` it speaks TLS.
    """

    answer: Answering
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
    url: str = ""
    trickled: int = 0

    def paths(self) -> list[str]:
        """Return the last part of each request's path."""
        return [request.path.rsplit("/", 1)[-1] for request in self.requests]

    def bodies(self, name: str) -> list[Any]:
        """Return the JSON bodies of the requests to this endpoint."""
        return [json.loads(request.body) for request in self.requests if request.path.endswith("/" + name)]


def reply(status: int, body: bytes = SUCCESS, *headers: str) -> Answering:
    """Answer properly."""

    def answer(_peer: Peer, connection: socket.socket, _request: Request) -> None:
        lines = [
            f"HTTP/1.1 {status} X",
            f"Content-Length: {len(body)}",
            "Content-Type: application/json",
            *headers,
        ]
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)

    return answer


def raw(content: bytes) -> Answering:
    """Send these bytes and close the connection."""

    def answer(_peer: Peer, connection: socket.socket, _request: Request) -> None:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_RDWR)

    return answer


def slowly(seconds: float) -> Answering:
    """Answer properly, after some time."""

    def answer(peer: Peer, connection: socket.socket, request: Request) -> None:
        peer.closing.wait(seconds)
        reply(200)(peer, connection, request)

    return answer


def silence(peer: Peer, _connection: socket.socket, _request: Request) -> None:
    """Never answer, and keep the connection open."""
    peer.closing.wait()


def trickle(first: bytes, endless: bytes) -> Answering:
    """Send `first` at once, and then the bytes of `endless` again and again, one every now and then."""

    def answer(peer: Peer, connection: socket.socket, _request: Request) -> None:
        connection.sendall(first)
        while True:
            for byte in endless:
                if peer.closing.wait(_POLL_SECONDS):
                    return
                connection.sendall(bytes([byte]))
                peer.trickled += 1

    return answer


NEVER_ENDING: Final[Mapping[str, Answering]] = {
    "no reply": silence,
    "headers byte by byte": trickle(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
    "body byte by byte": trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", b" "),
    "chunks without end": trickle(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
}
"""Replies that a client must break off by itself, by what is wrong with them."""


def in_turn(*answers: Answering) -> Answering:
    """Answer each request its own way, and all further ones as the last."""
    lock = threading.Lock()
    left = list(answers)

    def answer(peer: Peer, connection: socket.socket, request: Request) -> None:
        with lock:
            now = left.pop(0) if len(left) > 1 else left[0]
        now(peer, connection, request)

    return answer


def by_path(**answers: Answering) -> Answering:
    """Answer by the last part of the path."""

    def answer(peer: Peer, connection: socket.socket, request: Request) -> None:
        answers[request.path.rsplit("/", 1)[-1]](peer, connection, request)

    return answer


@contextmanager
def serving(answer: Answering, *, tls: ssl.SSLContext | None = None) -> Iterator[Peer]:
    """Run a peer; at the end all its connections are closed and its threads have ended."""
    peer = Peer(answer, tls)
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        listener.settimeout(_POLL_SECONDS)
        peer.url = f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
        acceptor = threading.Thread(target=_accept, args=(peer, listener), name="peer")
        acceptor.start()
        try:
            yield peer
        finally:
            peer.closing.set()
            acceptor.join()


def _accept(peer: Peer, listener: socket.socket) -> None:
    threads: list[threading.Thread] = []
    while not peer.closing.is_set():
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        thread = threading.Thread(
            target=_serve, args=(peer, connection, len(threads)), name="peer-connection"
        )
        threads.append(thread)
        thread.start()
    for thread in threads:
        thread.join()


def _serve(peer: Peer, connection: socket.socket, number: int) -> None:
    try:
        secured = _secured(peer, connection)
    except ssl.SSLError:
        # The client broke the handshake off.
        connection.close()
        return
    with secured:
        secured.settimeout(_POLL_SECONDS)
        try:
            while (request := _read(peer, secured, number)) is not None:
                peer.requests.append(request)
                peer.answer(peer, secured, request)
        except (ConnectionError, BrokenPipeError):
            # The client hung up, which is its right and often the point of the test.
            return


def _secured(peer: Peer, connection: socket.socket) -> socket.socket:
    return connection if peer.tls is None else peer.tls.wrap_socket(connection, server_side=True)


def _read(peer: Peer, connection: socket.socket, number: int) -> Request | None:
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = _receive(peer, connection)
        if not chunk:
            return None
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        chunk = _receive(peer, connection)
        if not chunk:
            return None
        body += chunk
    return Request(first.split(" ")[1], headers, body, number)


def _receive(peer: Peer, connection: socket.socket) -> bytes:
    while not peer.closing.is_set():
        try:
            return connection.recv(65_536)
        except TimeoutError:
            continue
        except OSError:
            return b""
    return b""
