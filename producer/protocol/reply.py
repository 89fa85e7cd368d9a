"""Read a reply of BETCORE's without trusting its size or its pace."""

import time
import zlib
from collections.abc import Callable
from typing import Final

import httpx

from producer.protocol.errors import ProducerError

MAX_REPLY_BYTES: Final = 262_144

# One read of a compressed reply can be a thousand times as long in memory, so none is asked for.
REQUEST_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity"}

_PACKED: Final = frozenset({"gzip", "x-gzip", "deflate"})
# zlib's number for: find out by the header which of both it is.
_ZLIB_OR_GZIP: Final = 32 + zlib.MAX_WBITS


class ReplyUnreadable(ProducerError):
    """The reply is longer or slower than any honest one."""

    reason = "reply_unreadable"


def read_bounded(
    response: httpx.Response,
    *,
    max_bytes: int = MAX_REPLY_BYTES,
    until: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> bytes:
    """Return the body of a streamed response: at most `max_bytes`, before `until` (seconds, by `clock`).

    httpx's timeout is for one read each, so a reply that drips would never end: give `until`, unless the
    transport bounds the whole exchange by itself. Raises ReplyUnreadable, and httpx.HTTPError as httpx does.
    """
    body = bytearray()
    unpack = _unpacking(response)
    for chunk in response.iter_raw():
        body += chunk if unpack is None else unpack(chunk, max_bytes + 1 - len(body))
        if len(body) > max_bytes:
            raise ReplyUnreadable(f"the reply is longer than {max_bytes} bytes")
        if until is not None and clock() > until:
            raise ReplyUnreadable("the reply did not end in time")
    return bytes(body)


def _unpacking(response: httpx.Response) -> Callable[[bytes, int], bytes] | None:
    """Return what unpacks at most so many bytes of a reply that is compressed, unasked; None: it is not."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding == "identity":
        return None
    if encoding not in _PACKED:
        raise ReplyUnreadable(f"the reply has the content encoding {encoding!a}")
    packed = zlib.decompressobj(_ZLIB_OR_GZIP)

    def unpack(chunk: bytes, max_bytes: int) -> bytes:
        try:
            return packed.decompress(chunk, max_bytes)
        except zlib.error as error:
            raise ReplyUnreadable(f"the reply is no {encoding}: {error}") from error

    return unpack
