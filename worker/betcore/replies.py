"""What is read of a reply: as much as an honest one can have."""

import httpx


def read_at_most(response: httpx.Response, max_bytes: int) -> bytes | None:
    """Return the body of a streamed response, or None as soon as it is longer than `max_bytes`."""
    content = bytearray()
    for chunk in response.iter_bytes():
        content += chunk
        if len(content) > max_bytes:
            return None
    return bytes(content)
