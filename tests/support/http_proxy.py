"""A small HTTP proxy: CONNECT for TLS, and requests with the whole URL for all else (RFC 9110, 9.3.6)."""

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, urlsplit

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_LOGIN: Final = re.compile(rb"\r\nproxy-authorization: *([^\r]*)\r\n", re.IGNORECASE)
_MAX_BYTES: Final = 65_536
_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.02


@dataclass
class HttpProxy:
    """A proxy on 127.0.0.1; `asked` has the first line of each request, `logins` what they prove."""

    url: str
    asked: list[str] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)


@contextmanager
def http_proxy() -> Iterator[HttpProxy]:
    """Run one; at the end it takes no more."""
    closing = threading.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        listener.settimeout(_POLL_SECONDS)
        proxy = HttpProxy(f"http://127.0.0.1:{listener.getsockname()[1]}")
        acceptor = threading.Thread(target=_accept, args=(proxy, listener, closing), name="http-proxy")
        acceptor.start()
        try:
            yield proxy
        finally:
            closing.set()
            acceptor.join()


def _accept(proxy: HttpProxy, listener: socket.socket, closing: threading.Event) -> None:
    while not closing.is_set():
        with contextlib.suppress(TimeoutError):
            client, _ = listener.accept()
            threading.Thread(target=_serve, args=(proxy, client), name="http-proxied", daemon=True).start()


def _serve(proxy: HttpProxy, client: socket.socket) -> None:
    with client, contextlib.suppress(OSError):
        client.settimeout(_SECONDS)
        while message := _message(client):
            first, _, rest = message.partition(b"\r\n")
            method, target, version = first.decode("latin-1").split(" ")
            proxy.asked.append(f"{method} {target}")
            proxy.logins += [login.decode("ascii") for login in _LOGIN.findall(rest)]
            if method == "CONNECT":
                _connect(client, urlsplit(f"//{target}"))
                return
            parts = urlsplit(target)
            with _server(parts) as server:
                server.sendall(f"{method} {parts.path} {version}\r\n".encode() + rest)
                client.sendall(_message(server))


def _connect(client: socket.socket, to: SplitResult) -> None:
    with _server(to) as server:
        client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        back = threading.Thread(target=_pump, args=(server, client), daemon=True)
        back.start()
        _pump(client, server)
        back.join()


def _server(parts: SplitResult) -> socket.socket:
    return socket.create_connection((parts.hostname or "", parts.port or 80), timeout=_SECONDS)


def _message(connection: socket.socket) -> bytes:
    """Return a head and the body whose length it tells; nothing: there is none any more."""
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(_MAX_BYTES)
        if not chunk:
            return b""
        received += chunk
    told = _LENGTH.search(received)
    whole = received.index(b"\r\n\r\n") + 4 + (int(told[1]) if told else 0)
    while len(received) < whole:
        received += connection.recv(_MAX_BYTES)
    return received


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Pass on what comes until it ends, and tell the other side."""
    with contextlib.suppress(OSError):
        while chunk := source.recv(_MAX_BYTES):
            sink.sendall(chunk)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
