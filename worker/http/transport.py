"""An httpx transport whose whole exchange, from connect to the last byte, ends at an absolute deadline.

httpx's own timeouts bound each read: a peer that sends one byte a second keeps a request alive for ever.
Decision 15.
"""

import ssl
from collections.abc import Iterator
from threading import BoundedSemaphore
from typing import Final

import httpx

from worker.http.connections import Connections
from worker.http.http11 import Connection, Origin, Timeouts
from worker.time_limit import cut

_PORTS: Final = {"http": 80, "https": 443}
# Their answers have no body, whatever their headers say, and no call of BETCORE's is one of them.
_WITHOUT_BODY: Final = frozenset({"HEAD", "CONNECT"})


class DeadlineTransport(httpx.BaseTransport):
    """HTTP/1.1 with keep-alive; every operation also ends with the thread's `ends_by` block.

    `max_connections` are in use at once at most; a request beyond them waits for as long as it may. Raises
    httpx.TransportError (httpx.TimeoutException when the time is over).
    """

    def __init__(self, *, max_connections: int) -> None:
        self._ssl_context = ssl.create_default_context()
        self._ssl_context.set_alpn_protocols(["http/1.1"])
        self._permits = BoundedSemaphore(max_connections)
        self._origins: dict[tuple[str, bytes, int | None], Connections] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; closing the response gives its connection back."""
        message = _message_of(request)
        given = request.extensions.get("timeout", {})
        timeouts = Timeouts(connect=given.get("connect"), read=given.get("read"), write=given.get("write"))
        connections = self._connections(request.url)
        self._take_permit(given.get("pool"))
        exchange = _Exchange(connections, timeouts, self._permits)
        try:
            status, headers = exchange.begin(message)
        except BaseException:
            exchange.close()
            raise
        return httpx.Response(status, headers=headers, stream=exchange)

    def close(self) -> None:
        """Close the connections that are idle; one that is in use is closed by its own deadline."""
        for connections in list(self._origins.values()):
            connections.close()

    def _take_permit(self, timeout_seconds: float | None) -> None:
        if self._permits.acquire(blocking=False):
            return
        try:
            is_free = self._permits.acquire(timeout=cut(timeout_seconds))
        except TimeoutError as error:
            raise httpx.PoolTimeout(str(error)) from error
        if not is_free:
            raise httpx.PoolTimeout("all connections are in use")

    def _connections(self, url: httpx.URL) -> Connections:
        key = (url.scheme, url.raw_host, url.port)
        known = self._origins.get(key)
        if known is not None:
            return known
        if url.scheme not in _PORTS:
            raise httpx.UnsupportedProtocol(f"{url.scheme} is neither http nor https")
        origin = Origin(
            host=url.raw_host.decode("ascii"),
            port=url.port or _PORTS[url.scheme],
            ssl_context=self._ssl_context if url.scheme == "https" else None,
        )
        return self._origins.setdefault(key, Connections(lambda: Connection(origin)))


class _Exchange(httpx.SyncByteStream):
    """One request and its answer, whose body is read as it arrives.

    Closing it gives its connection and its permit back, once.
    """

    def __init__(self, connections: Connections, timeouts: Timeouts, permits: BoundedSemaphore) -> None:
        self._connections = connections
        self._timeouts = timeouts
        self._permits = permits
        self._connection: Connection | None = None
        self._is_closed = False

    def begin(self, message: bytes) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Send a request; return the status and the headers of its answer."""
        self._connection = self._connections.take()
        self._connection.send(message, self._timeouts)
        return self._connection.read_head(self._timeouts)

    def __iter__(self) -> Iterator[bytes]:
        return iter(()) if self._connection is None else self._connection.read_body(self._timeouts)

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        try:
            if self._connection is not None:
                self._connections.give_back(self._connection)
        finally:
            self._permits.release()


def _message_of(request: httpx.Request) -> bytes:
    """Return a request as it is sent, in one piece: one call of the system, one packet.

    Raises httpx.LocalProtocolError for what HTTP/1.1 has no place for.
    """
    if request.method in _WITHOUT_BODY:
        raise httpx.LocalProtocolError(f"the answer to {request.method} is not read here")
    if "transfer-encoding" in request.headers:
        raise httpx.LocalProtocolError("only a body of known length is sent")
    lines = [b"%b %b HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    lines += [b"%b: %b" % header for header in request.headers.raw]
    head = b"\r\n".join(lines)
    # A value with a line break in it would be a header, or a request, of its own.
    breaks = len(lines) - 1
    if head.count(b"\n") != breaks or head.count(b"\r") != breaks or b"\0" in head:
        raise httpx.LocalProtocolError("a header holds a line break")
    return b"%b\r\n\r\n%b" % (head, request.read())
