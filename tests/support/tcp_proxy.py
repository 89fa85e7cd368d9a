"""A TCP proxy that can lose replies or cut connections at a chosen moment."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

_POLL_SECONDS = 0.02
_CHUNK_BYTES = 65_536


@dataclass
class Proxy:
    """Forwards to `target`; what holds `cut_on` on its way there is passed on, and its reply is not.

    While `is_silent` is set nothing passes, either way, and nobody is told: a cable that was pulled.
    """

    target: tuple[str, int]
    port: int = 0
    cut_on: bytes | None = None
    cuts: int = 0
    closing: threading.Event = field(default_factory=threading.Event)
    is_silent: threading.Event = field(default_factory=threading.Event)
    standing: set[socket.socket] = field(default_factory=set)
    vanished: set[socket.socket] = field(default_factory=set)

    def vanish(self) -> None:
        """Have the connections that stand lead nowhere, and nobody is told; new ones are served."""
        self.vanished |= self.standing

    def forward(self, client: socket.socket) -> None:
        """Serve one connection until either side, or the test, ends it."""
        with client, socket.create_connection(self.target) as server:
            for each in (client, server):
                each.settimeout(_POLL_SECONDS)
                self.standing.add(each)
            back = threading.Thread(target=self._pump, args=(server, client, lost := threading.Event()))
            back.start()
            while (chunk := self._receive(client)) is not None and not lost.is_set():
                if self.cut_on is not None and self.cut_on in chunk:
                    self.cut_on = None
                    self.cuts += 1
                    lost.set()
                server.sendall(chunk)
            # The server has the whole of what was sent; it acts on it before it sees the end.
            with suppress(OSError):
                server.shutdown(socket.SHUT_WR)
            back.join()

    def _pump(self, source: socket.socket, sink: socket.socket, lost: threading.Event) -> None:
        while (chunk := self._receive(source)) is not None:
            if not lost.is_set():
                with suppress(OSError):  # the other side hung up
                    sink.sendall(chunk)
                continue
            # The reply itself: the server has done what it was asked to, and the client never learns it.
            with suppress(OSError):
                sink.shutdown(socket.SHUT_RDWR)
            return
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    def _receive(self, connection: socket.socket) -> bytes | None:
        while not self.closing.is_set():
            try:
                chunk = connection.recv(_CHUNK_BYTES) or None
            except TimeoutError:
                continue
            except OSError:
                return None
            while self.is_silent.is_set() and not self.closing.is_set():
                time.sleep(_POLL_SECONDS)
            if connection in self.vanished:
                self.closing.wait()
                return None
            return chunk
        return None


@contextmanager
def proxy_to(host: str, port: int) -> Iterator[Proxy]:
    """Run a proxy on a port of its own."""
    proxy = Proxy((host, port))
    threads: list[threading.Thread] = []

    def accept(listener: socket.socket) -> None:
        while not proxy.closing.is_set():
            with suppress(TimeoutError):
                connection, _ = listener.accept()
                threads.append(threading.Thread(target=proxy.forward, args=(connection,)))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(_POLL_SECONDS)
        proxy.port = listener.getsockname()[1]
        acceptor = threading.Thread(target=accept, args=(listener,))
        acceptor.start()
        try:
            yield proxy
        finally:
            proxy.closing.set()
            acceptor.join()
            for thread in threads:
                thread.join()


def through(database_url: str, port: int) -> str:
    """Return the URL of the same database by way of a port of this machine."""
    parts = urlsplit(database_url)
    host = f"{parts.username}@127.0.0.1:{port}" if parts.username else f"127.0.0.1:{port}"
    return urlunsplit(parts._replace(netloc=host))
