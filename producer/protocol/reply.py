"""Read a reply of BETCORE's without trusting its size or its pace."""

from collections.abc import Callable
from typing import Final

import httpx

from producer.protocol.errors import ProducerError

MAX_REPLY_BYTES: Final = 262_144

# Compressed replies would make the size on the wire say nothing about the size in memory.
REQUEST_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity"}


class ReplyUnreadable(ProducerError):
    """The reply is longer or slower than any honest one."""

    reason = "reply_unreadable"


def read_bounded(response: httpx.Response, *, until: float, clock: Callable[[], float]) -> bytes:
    """Return the body of a streamed response: at most MAX_REPLY_BYTES, before `until` (seconds, by `clock`).

    httpx's timeout is for one read each, so a reply that drips would never end. Raises ReplyUnreadable,
    and httpx.HTTPError as httpx does.
    """
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > MAX_REPLY_BYTES:
            raise ReplyUnreadable(f"the reply is longer than {MAX_REPLY_BYTES} bytes")
        if clock() > until:
            raise ReplyUnreadable("the reply did not end in time")
    return bytes(body)
