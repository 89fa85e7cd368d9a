"""One kept HTTP connection, as cheap as can be: requests are put together beforehand, replies barely read."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Final, TypeAlias, cast

from deploy.local.ports import LOCALHOST

LOST: Final = "lost"
_LENGTH: Final = b"\r\ncontent-length: "


def make_request(token: str, *, path: str) -> bytes:
    """Return a make as BETCORE sends it: the token as a JSON string."""
    body = json.dumps(token).encode("ascii")
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {LOCALHOST}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


def get_request(path: str) -> bytes:
    """Return a GET."""
    return f"GET {path} HTTP/1.1\r\nhost: {LOCALHOST}\r\n\r\n".encode("ascii")


Answered: TypeAlias = Callable[["Line", str, bytes], None]


class Line(asyncio.Protocol):
    """One connection with at most one request under way.

    `answered` gets the line, the status (or LOST) and the body, and may send the next request.
    """

    def __init__(self, answered: Answered) -> None:
        self._answered = answered
        self._buffer = b""
        self.sent_at = 0.0
        self.is_busy = False
        self.is_open = True

    @classmethod
    async def open(cls, port: int, answered: Answered) -> "Line":
        """Connect to a server on this machine; raises OSError."""
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(lambda: cls(answered), LOCALHOST, port)
        return line

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def send(self, request: bytes) -> None:
        """Send a request."""
        self.is_busy = True
        self.sent_at = time.monotonic()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Say what came, once the whole reply is here."""
        buffer = self._buffer + data if self._buffer else data
        self._buffer = buffer
        head_end = buffer.find(b"\r\n\r\n")
        if head_end < 0:
            return
        begin = buffer.lower().find(_LENGTH, 0, head_end)
        if begin < 0:
            self._transport.abort()  # no server that is measured here answers without a length
            return
        length = int(buffer[begin + len(_LENGTH) : buffer.find(b"\r", begin + 2)])
        body = buffer[head_end + 4 :]
        if len(body) >= length:
            self._buffer = b""
            self.is_busy = False
            self._answered(self, buffer[9:12].decode("ascii"), body)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- the signature of asyncio
        """Count the request that had no answer; the server may hang up on whom it has nothing to answer."""
        self.is_open = False
        if self.is_busy:
            self.is_busy = False
            self._answered(self, LOST, b"")

    def close(self) -> None:
        """Hang up."""
        self._transport.close()
