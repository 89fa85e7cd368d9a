"""uvicorn's HTTP on httptools, with the limits that it lacks. Decision 37."""

import asyncio
from http import HTTPStatus
from typing import Final

import httptools
from uvicorn import Config
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from cashback_client.contract import ErrorCode
from producer.receiver.answers import raw_reply
from producer.receiver.http.connections import DELAYED, Connection, Connections, LingeringTransport
from producer.shared.addresses import source_of_peer

MAX_HEAD_BYTES: Final = 16_384
# A body of 16 KiB in chunks of one byte has 96 KiB on the wire; trailers and chunk extensions are in it, too.
_MAX_BODY_WIRE_BYTES: Final = 131_072
# What is still read of a peer that was refused, so that it can read why (RFC 9112, 9.6).
_MAX_DROPPED_BYTES: Final = 1_048_576
_MAX_PIPELINED: Final = 16


class TooManyPipelined(Exception):
    """More requests were sent at once than are taken."""


def bounded_http(connections: Connections) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol, all of whose connections are among `connections`."""

    class OfThisServer(BoundedHttpProtocol):
        _connections = connections

    return OfThisServer


class BoundedHttpProtocol(HttpToolsProtocol, Connection):
    """One connection: its heads, bodies, replies and its end are bounded, in bytes and in time."""

    _connections: Connections
    _in_hand: RequestResponseCycle

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._head_bytes = 0
        self._body_bytes = 0
        self._dropped_bytes = 0
        # Nothing that comes is parsed any more.
        self._is_deaf = False
        self._lingers = False
        # A request that is not whole: if it is answered before it is, then that is the end.
        self._unfinished: RequestResponseCycle | None = None
        self._keep_alive_when_whole = False
        self._looked_at: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, if there is room."""
        super().connection_made(transport)
        self.until = self._soon()
        if not self._connections.add(self, self._peer):
            self._is_deaf = True
            transport.write(raw_reply(HTTPStatus.SERVICE_UNAVAILABLE, ErrorCode.ERROR_ADDING_TRANSACTION))
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """End. uvicorn tells the request that came last, and it may wait behind the one in hand."""
        self._connections.remove(self)
        super().connection_lost(exc)
        if self.cycle is not None and not self._in_hand.response_complete:
            self._in_hand.disconnected = True
            self._in_hand.message_event.set()

    def data_received(self, data: bytes) -> None:
        """Have it parsed, unless it is more than may come."""
        if self._is_deaf:
            self._drop(data)
            return
        if len(data) + self._head_bytes <= MAX_HEAD_BYTES:
            self._feed(data)
        else:
            self._feed_in_pieces(data)

    def on_headers_complete(self) -> None:
        """Begin a request."""
        if len(self.pipeline) >= _MAX_PIPELINED:
            raise TooManyPipelined
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request, unless this was the last one."""
        if self._is_deaf and not self.pipeline:
            self._linger()
        super().on_response_complete()
        if self._lingers:
            self._unset_keepalive_if_required()

    def pause_writing(self) -> None:
        """Wait for a peer that does not read, but not for ever."""
        super().pause_writing()
        self.until = self._soon()

    def resume_writing(self) -> None:
        """Go on writing; the end of a connection that is being closed goes on being awaited."""
        if self.flow.write_paused and not self._lingers:
            self.until = None
        super().resume_writing()

    def shutdown(self) -> None:
        """End after what is in hand."""
        self._keep_alive_when_whole = False
        super().shutdown()

    def is_closing(self) -> bool:
        """Return whether it is being closed."""
        return self.transport.is_closing()

    def is_busy(self) -> bool:
        """Return whether it has a whole request in hand that is worked on, and a peer that takes answers."""
        cycle = self.cycle
        if cycle is None or self._lingers or self.flow.write_paused or DELAYED in self._in_hand.scope:
            return False
        return bool(self.pipeline) or not (cycle.response_complete or cycle.more_body)

    def was_used(self) -> bool:
        """Return whether a request has come since this was last asked."""
        before, self._looked_at = self._looked_at, self.cycle
        return before is not self.cycle

    def overdue(self) -> None:
        """End what did not come in time: a head is answered, if any of it came."""
        if self._lingers or self.is_closing() or self.flow.write_paused:
            self.transport.abort()
        elif self._is_in_head:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self.transport.close()

    def give_way(self) -> None:
        """Close at once, for another connection."""
        self._is_deaf = True
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()

    @property
    def _peer(self) -> str:
        return self.client[0] if self.client else ""

    @property
    def _is_in_head(self) -> bool:
        # uvicorn begins a scope with a message, and gives it a method once its head is whole.
        return self.scope is not None and "method" not in self.scope

    def _soon(self) -> float:
        return self.loop.time() + self._connections.limits.timeout_seconds

    def _feed(self, piece: bytes) -> None:
        before = self.cycle
        was_in_body = before is not None and before.more_body
        self._parse(piece)
        cycle = self.cycle
        if cycle is before:
            self._count(len(piece), is_of_body=was_in_body)
        else:
            # A head that stands behind another request is counted from the next piece on.
            self._head_bytes = self._body_bytes = 0
            self.until = None
            if not cycle.more_body and not self._is_in_head:
                return
        self._bound_what_is_unfinished()

    def _parse(self, piece: bytes) -> None:
        """Do as uvicorn does, but for its line in the log for each."""
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            # Nothing else is spoken here, and the request is answered as any other (RFC 9110, 7.8).
            return
        except httptools.HttpParserError:
            self._refuse(HTTPStatus.BAD_REQUEST)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._in_hand = cycle
        super()._start_asgi_task(cycle, app)

    def _count(self, size: int, *, is_of_body: bool) -> None:
        if not is_of_body:
            self._head_bytes += size
        elif self.cycle.more_body:
            self._body_bytes += size
            self._is_deaf = self._is_deaf or self._body_bytes > self._most(_MAX_BODY_WIRE_BYTES)

    def _bound_what_is_unfinished(self) -> None:
        cycle, unfinished = self.cycle, self._unfinished
        if unfinished is not None and not unfinished.more_body:
            if not unfinished.response_started:
                unfinished.keep_alive = self._keep_alive_when_whole
                unfinished.transport = self.transport
            self._unfinished = None
        if cycle is not None and cycle.more_body:
            if self._unfinished is None and not cycle.response_started:
                self._unfinished, self._keep_alive_when_whole = cycle, cycle.keep_alive
                cycle.keep_alive = False
                cycle.transport = LingeringTransport(self.transport, self._linger)
        elif not self._is_deaf and (self._is_in_head or cycle is None or cycle.response_complete):
            self.until = self.until or self._soon()

    def _feed_in_pieces(self, data: bytes) -> None:
        """Parse no more at once than a head may have: what is quadratic in a head stays small."""
        while data and not self._is_deaf and not self.is_closing():
            room = MAX_HEAD_BYTES - self._head_bytes
            if room <= 0:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
                break
            piece, data = data[:room], data[room:]
            self._feed(piece)

    def _drop(self, data: bytes) -> None:
        self._dropped_bytes += len(data)
        if self._dropped_bytes > self._most(_MAX_DROPPED_BYTES):
            self.transport.abort()

    def _most(self, usual: int) -> int:
        """Return how many bytes of a body may come; of some paths' more than usual."""
        path = "" if self.cycle is None else self.cycle.scope["path"]
        return max(usual, self._connections.limits.large_bodies.get(path, 0))

    def _refuse(self, status: HTTPStatus) -> None:
        """Take nothing more, say why unless an answer is still under way, and close."""
        self._connections.tell(status.phrase, source_of_peer(self._peer))
        self._is_deaf = True
        self.until = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(raw_reply(status, ErrorCode.REQUEST_DATA_ERROR))
            self._linger()

    def _linger(self) -> None:
        """Close, and go on reading a little: a peer that is still sending would lose its answer."""
        if self._lingers or self.is_closing():
            return
        self._is_deaf = self._lingers = True
        self.until = self._soon()
        self._unset_keepalive_if_required()
        self.transport.write_eof()
        self.flow.resume_reading()
