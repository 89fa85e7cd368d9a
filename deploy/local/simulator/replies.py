"""Replies in BETCORE's envelope, and broken ones: connections that are dropped or end half-way."""

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from deploy.local.simulator.protocol.envelope import envelope

# By the client's address, because ASGI lets an application name its connection but not close it.
Connections = dict[tuple[str, int], asyncio.Transport]


def protocol_for(connections: Connections) -> type[HttpToolsProtocol]:
    """Return uvicorn's HTTP protocol, which also keeps `connections` up to date."""

    class ConnectionKeepingProtocol(HttpToolsProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
            super().connection_made(transport)
            if self.client is not None:
                connections[self.client] = transport

        def connection_lost(self, exc: Exception | None) -> None:
            if self.client is not None and connections.get(self.client) is self.transport:
                del connections[self.client]
            super().connection_lost(exc)

    return ConnectionKeepingProtocol


def enveloped(code: int, message: str | None = None, *, value: Any = None, status: int = 200) -> JSONResponse:  # noqa: ANN401 -- JSON
    """Return a reply in BETCORE's envelope."""
    return JSONResponse(envelope(code, message, value=value), status_code=status)


class DroppedConnection(Response):
    """No reply: the connection is closed at once."""

    def __init__(self, connections: Connections) -> None:
        super().__init__()
        self._connections = connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 -- ASGI
        """Answer one request so."""
        self._connections[scope["client"]].abort()
        await _closed(receive)


class HalfReply(Response):
    """The head and half of the body of a reply; then the connection is closed."""

    def __init__(self, connections: Connections, *, whole: Response) -> None:
        super().__init__()
        self._connections = connections
        self._whole = whole

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request so."""
        body = bytes(self._whole.body)
        await send(
            {
                "type": "http.response.start",
                "status": self._whole.status_code,
                "headers": self._whole.raw_headers,
            }
        )
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        self._connections[scope["client"]].close()
        await _closed(receive)


async def _closed(receive: Receive) -> None:
    # Returning before the server has noticed would make it send a reply of its own.
    while (await receive())["type"] != "http.disconnect":
        pass


def misbehaviour(name: str, connections: Connections, *, request: Request, honest: Response) -> Response:
    """Return the reply for one of the actions that any endpoint can take; `honest` is the right one."""
    match name:
        case "drop" | "lost":
            reply: Response = DroppedConnection(connections)
        case "half":
            reply = HalfReply(connections, whole=honest)
        case "redirect":
            reply = Response(status_code=307, headers={"location": str(request.url_for("redirected"))})
        case "html":
            reply = Response("<!doctype html><title>Maintenance</title>", media_type="text/html")
        case "500":
            reply = Response("Internal Server Error", status_code=500, media_type="text/plain")
        case "503":
            reply = Response("Service Unavailable", status_code=503, headers={"retry-after": "1"})
        case _:
            reply = honest
    return reply
