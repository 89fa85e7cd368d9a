"""One HTTP/1.1 connection of a client (RFC 9112), each wait of which ends by the thread's `ends_by`.

httpcore with h11 made some 900 calls of Python for each accept, more than half of all that settling an event
takes, and bounded single reads instead of the exchange (decision 15).
"""

import select
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import httpx

from worker.http.incoming import Incoming
from worker.time_limit import cut

# More than a record of TLS holds, so that none is left half read where nothing more would be seen to come.
_READ_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where connections go: plain TCP, or TLS where there is a context for it."""

    host: str
    port: int
    ssl_context: ssl.SSLContext | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """The longest that single operations may take, in seconds; None: only `ends_by` bounds them."""

    connect: float | None = None
    read: float | None = None
    write: float | None = None


class Connection:
    """Connects when it first sends. It is in the hands of one exchange at a time: send, head, body.

    Raises httpx.TransportError (httpx.TimeoutException when the time is over), and is of no use then but to
    be closed.
    """

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._socket: socket.socket | None = None
        self._readable = select.poll()
        self._incoming = Incoming()
        self._can_serve_again = False

    @property
    def can_serve_again(self) -> bool:
        """Whether the exchange came to its end, and the server lets another one follow."""
        return self._can_serve_again

    def has_hung_up(self) -> bool:
        """Whether the server closed an idle connection, or sent what nobody asked for."""
        return bool(self._readable.poll(0))

    def send(self, message: bytes, timeouts: Timeouts) -> None:
        """Begin an exchange: send a whole request."""
        self._can_serve_again = False
        if self._socket is None:
            self._socket = self._connected(timeouts.connect)
            self._socket.setblocking(False)
            self._readable.register(self._socket, select.POLLIN)
        self._incoming.begin()
        try:
            _send_all(self._socket, message, timeouts.write)
        except TimeoutError as error:
            raise httpx.WriteTimeout(_text(error)) from error
        except OSError as error:
            raise httpx.WriteError(_text(error)) from error

    def read_head(self, timeouts: Timeouts) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Return the status and the headers of the answer."""
        incoming = self._incoming
        while not incoming.has_head:
            self._read_more(timeouts)
        return incoming.status, incoming.headers

    def read_body(self, timeouts: Timeouts) -> Iterator[bytes]:
        """Yield the body of the answer as it arrives; how long it may be is for the caller to say."""
        incoming = self._incoming
        while True:
            yield from incoming.take_chunks()
            if incoming.is_complete:
                self._can_serve_again = incoming.keeps_alive and not incoming.has_surplus
                return
            self._read_more(timeouts)

    def close(self) -> None:
        """Close it; does nothing to one that is closed."""
        self._can_serve_again = False
        if self._socket is not None:
            self._socket.close()

    def _read_more(self, timeouts: Timeouts) -> None:
        if self._socket is None:
            raise httpx.ReadError("nothing was sent")
        try:
            data = self._receive(self._socket, timeouts.read)
        except TimeoutError as error:
            raise httpx.ReadTimeout(_text(error)) from error
        except OSError as error:
            raise httpx.ReadError(_text(error)) from error
        self._incoming.feed(data)

    def _receive(self, connected: socket.socket, timeout_seconds: float | None) -> bytes:
        while True:
            # First of all: the answer is hardly ever there by the time that its request is sent.
            _wait(self._readable, timeout_seconds)
            try:
                return connected.recv(_READ_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError):
                continue
            except ssl.SSLWantWriteError:
                _wait(_poll(connected, select.POLLOUT), timeout_seconds)

    def _connected(self, timeout_seconds: float | None) -> socket.socket:
        try:
            return self._connected_somewhere(timeout_seconds)
        except TimeoutError as error:
            raise httpx.ConnectTimeout(_text(error)) from error
        except (OSError, ValueError) as error:  # ValueError: a name that no host can have
            raise httpx.ConnectError(_text(error)) from error

    def _connected_somewhere(self, timeout_seconds: float | None) -> socket.socket:
        """Try one address after the other; raises the last one's OSError or ValueError."""
        origin = self._origin
        failure: Exception = OSError(f"no address of {origin.host} is known")
        for family, kind, protocol, _, address in socket.getaddrinfo(
            origin.host, origin.port, type=socket.SOCK_STREAM
        ):
            connecting = socket.socket(family, kind, protocol)
            try:
                connecting.settimeout(cut(timeout_seconds))
                connecting.connect(address)
                connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return self._secured(connecting, timeout_seconds)
            except (OSError, ValueError) as error:
                connecting.close()
                failure = error
        raise failure

    def _secured(self, connected: socket.socket, timeout_seconds: float | None) -> socket.socket:
        context = self._origin.ssl_context
        if context is None:
            return connected
        connected.settimeout(cut(timeout_seconds))
        return context.wrap_socket(connected, server_hostname=self._origin.host)


# A socket with a timeout of Python's makes three calls of the system for each operation: to set it, to wait,
# to do it. Each of them lets go of the interpreter's lock, and the thread then has to get it back.


def _send_all(connected: socket.socket, message: bytes, timeout_seconds: float | None) -> None:
    left = memoryview(message)
    while left:
        cut(timeout_seconds)
        try:
            left = left[connected.send(left) :]
        except (BlockingIOError, ssl.SSLWantWriteError):
            _wait(_poll(connected, select.POLLOUT), timeout_seconds)
        except ssl.SSLWantReadError:
            _wait(_poll(connected, select.POLLIN), timeout_seconds)


def _poll(connected: socket.socket, events: int) -> select.poll:
    poll = select.poll()
    poll.register(connected, events)
    return poll


def _wait(poll: select.poll, timeout_seconds: float | None) -> None:
    """Wait until the socket can go on; raise TimeoutError where it cannot in time."""
    left_seconds = cut(timeout_seconds)
    if not poll.poll(None if left_seconds is None else left_seconds * 1_000):
        raise TimeoutError("timed out")


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__
