"""Read a reply of BETCORE's without trusting its size or its pace."""

import time
from collections.abc import Callable
from typing import Final

import httpx

from producer.protocol.errors import ProducerError

MAX_REPLY_BYTES: Final = 262_144

# One read of a compressed reply can be a thousand times as long in memory: none is asked for.
REQUEST_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity"}


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
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > max_bytes:
            raise ReplyUnreadable(f"the reply is longer than {max_bytes} bytes")
        if until is not None and clock() > until:
            raise ReplyUnreadable("the reply did not end in time")
    return bytes(body)
