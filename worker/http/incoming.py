"""What an HTTP/1.1 connection reads of one answer after the other (RFC 9112).

The parser is httptools' (llhttp, as in Node.js; decision 15).
"""

from typing import Final

import httptools
import httpx

# Of head, framing and trailers together: what an answer may have around its body.
MAX_AROUND_BODY_BYTES: Final = 65_536
_OK: Final = 200
_SWITCHING_PROTOCOLS: Final = 101
_LENGTHS: Final = frozenset({b"content-length", b"transfer-encoding"})


class Incoming:
    """What one connection has read of its answers. httptools calls the methods `on_...`."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.begin()

    def begin(self) -> None:
        """Expect another answer."""
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self._around_body_bytes = 0
        self.has_head = False
        self.is_complete = False
        self.keeps_alive = False
        self.has_surplus = False
        self._ends_with_connection = False
        self._chunks: list[bytes] = []

    def take_chunks(self) -> list[bytes]:
        """Return what came of the body since the last time."""
        chunks, self._chunks = self._chunks, []
        return chunks

    def feed(self, data: bytes) -> None:
        """Read on; no data is the end of the connection. Raises httpx.RemoteProtocolError."""
        if not data:
            self._end_of_connection()
            return
        self._around_body_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as error:
            raise httpx.RemoteProtocolError("the server wants to speak another protocol") from error
        except httptools.HttpParserError as error:
            if not self.is_complete:
                raise httpx.RemoteProtocolError(f"the answer is no HTTP/1.1: {error}") from error
            self.has_surplus = True
        if self._around_body_bytes > MAX_AROUND_BODY_BYTES:
            raise httpx.RemoteProtocolError(f"more than {MAX_AROUND_BODY_BYTES} bytes are around the body")

    def _end_of_connection(self) -> None:
        if not self._ends_with_connection:
            raise httpx.RemoteProtocolError("the server hung up in the middle of its answer")
        self.is_complete = True

    def on_message_begin(self) -> None:
        """Take note of an answer that nobody asked for: it must not be read as the next one's."""
        self.has_surplus = self.is_complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; what follows the body (trailers) is dropped."""
        if not self.has_head:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Take note of the head, but for one that only says that the answer is still to come (1xx)."""
        status = self._parser.get_status_code()
        if self.is_complete or _is_interim(status):
            return
        self.status = status
        self.has_head = True
        # RFC 9112, 6.3: without a length of any kind, the body ends where the connection does.
        self._ends_with_connection = not any(name.lower() in _LENGTHS for name, _ in self.headers)

    def on_body(self, chunk: bytes) -> None:
        """Keep a part of the body."""
        if not self.is_complete:
            self._around_body_bytes -= len(chunk)
            self._chunks.append(chunk)

    def on_message_complete(self) -> None:
        """Take note of the end."""
        if self.is_complete:
            return
        if _is_interim(self._parser.get_status_code()):
            self.headers = []
            return
        self.is_complete = True
        self.keeps_alive = self._parser.should_keep_alive()


def _is_interim(status: int) -> bool:
    return status < _OK and status != _SWITCHING_PROTOCOLS
