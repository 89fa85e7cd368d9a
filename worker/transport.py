"""An httpx transport whose whole exchange, from connect to the last byte, ends at an absolute deadline.

httpx's own timeouts bound each read: a peer that sends one byte a second keeps a request alive for ever.
"""

import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore, local
from typing import Any, Final

import httpcore
import httpx

from worker.connections import KEEPALIVE_SECONDS, Connections
from worker.deadline import Deadline

# The head and the body of an accept are far below it.
_MAX_HELD_BYTES: Final = 16_384
_ends_by = local()


@contextmanager
def ends_by(deadline: Deadline) -> Iterator[None]:
    """Bound every network operation of this thread, inside the block, by `deadline` (monotonic).

    Blocks nest: the inner one can shorten the time, never lengthen it.
    """
    outer: Deadline | None = getattr(_ends_by, "deadline", None)
    _ends_by.deadline = deadline if outer is None or deadline.at_seconds < outer.at_seconds else outer
    try:
        yield
    finally:
        _ends_by.deadline = outer


def read_at_most(response: httpx.Response, max_bytes: int) -> bytes | None:
    """Return the body of a streamed response, or None as soon as it is longer than `max_bytes`."""
    content = bytearray()
    for chunk in response.iter_bytes():
        content += chunk
        if len(content) > max_bytes:
            return None
    return bytes(content)


def _cut(timeout: float | None, error: type[httpcore.TimeoutException]) -> float | None:
    """Cut an operation's timeout to the time left; raise `error` where none is."""
    deadline: Deadline | None = getattr(_ends_by, "deadline", None)
    if deadline is None:
        return timeout
    left_seconds = deadline.remaining_seconds(time.monotonic())
    if left_seconds <= 0:
        raise error("the time for this exchange is over")
    return left_seconds if timeout is None else min(timeout, left_seconds)


class _DeadlineStream(httpcore.NetworkStream):
    """Sends what was written when an answer to it is waited for.

    httpcore writes the head and the body of a request one by one: together they are one system call and one
    packet.
    """

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self._held = b""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._held:
            self._send_held(timeout)
        return self._stream.read(max_bytes, _cut(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._held += buffer
        if len(self._held) > _MAX_HELD_BYTES:
            self._send_held(timeout)

    def _send_held(self, timeout: float | None) -> None:
        held, self._held = self._held, b""
        self._stream.write(held, _cut(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        cut = _cut(timeout, httpcore.ConnectTimeout)
        return _DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, cut))

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - the signature of httpcore
        return self._stream.get_extra_info(info)


class _DeadlineBackend(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        cut = _cut(timeout, httpcore.ConnectTimeout)
        return _DeadlineStream(super().connect_tcp(host, port, cut, local_address, socket_options))


class _ResponseStream(httpx.SyncByteStream):
    """The body of a response; closing it gives the connection back, once."""

    def __init__(self, stream: Iterable[bytes], give_back: Callable[[], None]) -> None:
        self._stream = stream
        self._give_back: Callable[[], None] | None = give_back

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx_errors():
            yield from self._stream

    def close(self) -> None:
        give_back, self._give_back = self._give_back, None
        if give_back is None:
            return
        try:
            if hasattr(self._stream, "close"):
                self._stream.close()
        finally:
            give_back()


@contextmanager
def _as_httpx_errors() -> Iterator[None]:
    try:
        yield
    except httpcore.TimeoutException as error:
        raise httpx.TimeoutException(f"{type(error).__name__}: {error}") from error
    except (
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.ProxyError,
        httpcore.UnsupportedProtocol,
    ) as error:
        raise httpx.TransportError(f"{type(error).__name__}: {error}") from error


class DeadlineTransport(httpx.BaseTransport):
    """HTTP/1.1 with keep-alive; every operation also ends with the thread's `ends_by` block.

    `max_connections` are in use at once at most; a request beyond them waits for as long as it may.
    """

    def __init__(self, *, max_connections: int) -> None:
        self._ssl_context = ssl.create_default_context()
        self._backend = _DeadlineBackend()
        self._places = BoundedSemaphore(max_connections)
        self._origins: dict[tuple[bytes, bytes, int], Connections] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; raises httpx.TransportError (httpx.TimeoutException when the time is over)."""
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        raw = httpcore.Request(
            method=request.method,
            url=url,
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _as_httpx_errors():
            self._take_place(request)
            response, give_back = self._exchange(raw)
        if not isinstance(response.stream, Iterable):
            give_back()
            raise httpx.TransportError("the response has no synchronous body")
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_ResponseStream(response.stream, give_back),
            extensions=response.extensions,
        )

    def close(self) -> None:
        """Close the connections that are idle; one that is in use is closed by its own deadline."""
        for connections in list(self._origins.values()):
            connections.close()

    def _take_place(self, request: httpx.Request) -> None:
        if self._places.acquire(blocking=False):
            return
        timeout = _cut(request.extensions.get("timeout", {}).get("pool"), httpcore.PoolTimeout)
        if not self._places.acquire(timeout=timeout):
            raise httpcore.PoolTimeout("all connections are in use")

    def _exchange(self, request: httpcore.Request) -> tuple[httpcore.Response, Callable[[], None]]:
        """Return the head of the response and what gives back the connection and its place."""
        try:
            connections = self._connections(request.url.origin)
            connection = connections.take()
        except BaseException:
            self._places.release()
            raise

        def give_back() -> None:
            try:
                connections.give_back(connection)
            finally:
                self._places.release()

        try:
            return connection.handle_request(request), give_back
        except BaseException:
            give_back()
            raise

    def _connections(self, origin: httpcore.Origin) -> Connections:
        key = (origin.scheme, origin.host, origin.port)
        known = self._origins.get(key)
        if known is not None:
            return known

        def connect() -> httpcore.HTTPConnection:
            return httpcore.HTTPConnection(
                origin,
                ssl_context=self._ssl_context,
                keepalive_expiry=KEEPALIVE_SECONDS,
                network_backend=self._backend,
            )

        return self._origins.setdefault(key, Connections(connect))
