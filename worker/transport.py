"""An httpx transport whose whole exchange, from connect to the last byte, ends at an absolute deadline.

httpx's own timeouts bound each read: a peer that sends one byte a second keeps a request alive for ever.
"""

import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import local
from typing import Any, Final

import httpcore
import httpx

from worker.deadline import Deadline

_KEEPALIVE_SECONDS: Final = 30.0
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
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _cut(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _cut(timeout, httpcore.WriteTimeout))

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
    def __init__(self, stream: Iterable[bytes]) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx_errors():
            yield from self._stream

    def close(self) -> None:
        if hasattr(self._stream, "close"):
            self._stream.close()


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
    """HTTP/1.1 with keep-alive; every operation also ends with the thread's `ends_by` block."""

    def __init__(self, *, max_connections: int) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=max_connections,
            max_keepalive_connections=max_connections,
            keepalive_expiry=_KEEPALIVE_SECONDS,
            network_backend=_DeadlineBackend(),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; raises httpx.TransportError (httpx.TimeoutException when the time is over)."""
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        with _as_httpx_errors():
            response = self._pool.handle_request(
                httpcore.Request(
                    method=request.method,
                    url=url,
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        if not isinstance(response.stream, Iterable):
            raise httpx.TransportError("the response has no synchronous body")
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_ResponseStream(response.stream),
            extensions=response.extensions,
        )

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()
