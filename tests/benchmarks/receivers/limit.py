"""The receiver's limit: the same server and the same bytes, and nothing between them but the signature.

`python -m tests.benchmarks.receivers tests.benchmarks.receivers.limit:create_app`. A raw ASGI application
that reads the body, has our own Verifier verify the token, and answers what our receiver answers. It keeps
nothing: what verifies what it takes cannot be faster on this server.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any

import httpx

from producer.receiver.answers import RECEIVED
from producer.shared.settings.receiver import ReceiverSettings
from producer.shared.wiring import build_keys, build_verifier

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Limit:
    """The application."""

    def __init__(self, settings: ReceiverSettings) -> None:
        self._client = httpx.Client()
        self._keys = build_keys(settings, client=self._client, retired_key_seconds=0.0)
        self._verifier = build_verifier(settings, keys=self._keys, client=self._client)
        answer = RECEIVED.response()
        self._start = {
            "type": "http.response.start",
            "status": answer.status_code,
            "headers": answer.raw_headers,
        }
        self._body = {"type": "http.response.body", "body": bytes(answer.body)}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request, or the process's beginning and end."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["method"] == "POST":
            self._verifier.verify_with_known_keys(json.loads(await _read(receive)), at=datetime.now(UTC))
        await send(self._start)
        await send(self._body)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await asyncio.to_thread(self._keys.fetch)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._client.close()
        await send({"type": "lifespan.shutdown.complete"})


async def _read(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    return body


def create_app() -> Limit:
    """Build it from the environment of the receiver."""
    return Limit(ReceiverSettings())
