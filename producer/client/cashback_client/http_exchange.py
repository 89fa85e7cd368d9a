"""One request to a receiver and its reply, over a connection of its own; the standard library alone.

The bytes are written and read without a connection (`request_bytes`, `reply_in`); `Receiver` carries them.
"""

import asyncio
import io
import re
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse, IncompleteRead
from typing import TYPE_CHECKING, Final, cast

from cashback_client.errors import Unanswered
from cashback_client.settings import HttpAddress

if TYPE_CHECKING:
    import socket

MAX_REPLY_BYTES: Final = 2_097_152
"""Several times what the longest reply has; of a longer one nothing is believed."""

MAX_CONNECTIONS: Final = 32
"""So many requests of one client are under way at once; others wait, within their time."""

_CHUNK_BYTES: Final = 65_536
_END_OF_HEAD: Final = b"\r\n\r\n"
_LAST_CHUNK: Final = b"0\r\n\r\n"
# 100 and its like, which may stand before a reply; http.client reads over the first of them alone.
_INTERIM: Final = re.compile(rb"HTTP/1\.[01] 1[0-9][0-9][ \r]")


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply. `retry_after_seconds` is None where the header is not there or no number."""

    status: int
    body: bytes
    retry_after_seconds: float | None


class _Received:
    """What http.client reads a reply from, in the place of a socket."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._content)


def request_bytes(address: HttpAddress, method: str, path: str, body: bytes | None = None) -> bytes:
    """Return a request in HTTP/1.1, with the key in it; `path` is below the base URL, in ASCII."""
    lines = [
        f"{method} {address.path}{path} HTTP/1.1",
        f"Host: {address.host_header}",
        f"Authorization: Bearer {address.api_key}",
        "Accept: application/json",
        "Connection: close",
    ]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + (body or b"")


def reply_in(received: bytes, *, is_all: bool) -> Reply | None:
    """Return the reply that these bytes are, None while they are its beginning; raises ValueError.

    `is_all`: no more will come.
    """
    while _INTERIM.match(received) and _END_OF_HEAD in received:
        received = received.partition(_END_OF_HEAD)[2]
    if _END_OF_HEAD not in received:
        if is_all:
            raise ValueError("the connection ended before the head of the reply did")
        return None
    response = HTTPResponse(cast("socket.socket", _Received(received)))
    try:
        response.begin()
        is_ended_by_close = response.length is None and not response.chunked
        ends_later = is_ended_by_close or (response.chunked and not received.endswith(_LAST_CHUNK))
        if ends_later and not is_all:
            return None
        body = response.read()
    except IncompleteRead as error:
        if is_all:
            raise ValueError("the connection ended before the reply did") from error
        return None
    except HTTPException as error:
        raise ValueError(f"no reply in HTTP: {type(error).__name__}: {error}") from error
    asked = response.getheader("Retry-After", "")
    is_number = asked.isascii() and asked.isdigit() and len(asked) <= len("86400")
    return Reply(response.status, body, float(asked) if is_number else None)


class Receiver:
    """A receiver, for one event loop: `exchange` sends a request and returns its reply."""

    def __init__(self, address: HttpAddress) -> None:
        self._address = address
        self._connections = asyncio.Semaphore(MAX_CONNECTIONS)

    async def exchange(self, method: str, path: str, body: bytes | None = None, *, until: float) -> Reply:
        """Send a request, return its reply; raises Unanswered. `until` is a time of the event loop."""
        was_sent = False
        try:
            async with asyncio.timeout_at(until), self._connections:
                reader, writer = await asyncio.open_connection(
                    self._address.host, self._address.port, ssl=self._address.tls, limit=_CHUNK_BYTES
                )
                try:
                    was_sent = True
                    writer.write(request_bytes(self._address, method, path, body))
                    return await _reply(reader)
                finally:
                    # Without the farewell of TLS, for which a silent server would have us wait.
                    writer.transport.abort()
        except TimeoutError as error:
            raise Unanswered(
                "the receiver did not answer in time", reason="timed_out", was_sent=was_sent
            ) from error
        except OSError as error:
            raise Unanswered(
                f"the receiver: {type(error).__name__}: {error}",
                reason="cut_off" if was_sent else "unreachable",
                was_sent=was_sent,
            ) from error
        except ValueError as error:
            raise Unanswered(f"the receiver: {error}", reason="broken_reply", was_sent=was_sent) from error


async def _reply(reader: asyncio.StreamReader) -> Reply:
    received = b""
    while len(received) <= MAX_REPLY_BYTES:
        chunk = await reader.read(_CHUNK_BYTES)
        received += chunk
        reply = reply_in(received, is_all=not chunk)
        if reply is not None:
            return reply
    raise ValueError(f"a reply of more than {MAX_REPLY_BYTES:,} bytes")
