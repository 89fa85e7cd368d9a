"""Bodies, read within limits, and the token taken out of that of make."""

import json
from typing import Final

from starlette.types import Receive, Scope

from producer.protocol.errors import NotAToken
from producer.receiver.answers import BodyTooLarge, BodyTooSlow, ClientGone
from producer.receiver.http.in_time import in_time

MAX_BODY_BYTES: Final = 16_384
BODY_TIMEOUT_SECONDS: Final = 5.0

_DOTS: Final = 2
_BLANK: Final = b" \t\r\n"
_JSON_STARTS: Final = frozenset({b'"', b"{"})
_NOTHING: Final = "the body holds no token"


async def read_body(
    scope: Scope,
    receive: Receive,
    *,
    timeout_seconds: float = BODY_TIMEOUT_SECONDS,
    max_bytes: int = MAX_BODY_BYTES,
) -> bytes:
    """Return the body; raise BodyTooLarge above `max_bytes`, BodyTooSlow, or ClientGone.

    Content-Length, where given, is believed only to refuse early. Source of the messages: the ASGI
    specification, "HTTP & WebSocket ASGI Message Format".
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > max_bytes:
            raise BodyTooLarge
    try:
        # Nearly every body comes with its head, and is there.
        return await in_time(_whole_body(receive, max_bytes), timeout_seconds=timeout_seconds)
    except TimeoutError as error:
        raise BodyTooSlow from error


async def _whole_body(receive: Receive, max_bytes: int) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    if message["type"] == "http.request" and message.get("more_body"):
        # A bytearray grows where it stands: a large body may come in many small pieces.
        pieces = bytearray(body)
        while message["type"] == "http.request" and message.get("more_body") and len(pieces) <= max_bytes:
            message = await receive()
            pieces += message.get("body", b"")
        body = bytes(pieces)
    if message["type"] != "http.request":
        raise ClientGone
    if len(body) > max_bytes:
        raise BodyTooLarge
    return body


def token_in(body: bytes) -> str:
    """Return the token that a body of make carries; raise NotAToken where there is none.

    Three shapes are taken, whatever the Content-Type says: the token as a JSON string, as plain text,
    and as the string member `token`, the only one, of a JSON object.
    """
    # What can be no token is seen before it is read, so that a flood of it costs next to nothing. A token has
    # no colon and no bracket: there is one member at most, and nothing that could be deep.
    text = body.strip(_BLANK)
    is_json = text[:1] in _JSON_STARTS
    if is_json and (text.count(b":") > 1 or b"[" in text):
        raise NotAToken(_NOTHING)
    # In JSON a dot may be written in other ways.
    if text.count(b".") != _DOTS and not (is_json and b"\\" in text):
        raise NotAToken(_NOTHING)
    try:
        value = json.loads(text.decode("utf-8")) if is_json else text.decode("ascii")
    except ValueError as error:
        raise NotAToken("the body cannot be read") from error
    if isinstance(value, dict) and value.keys() == {"token"}:
        value = value["token"]
    # The verifier looks at each character.
    if not isinstance(value, str) or not value.isascii():
        raise NotAToken(_NOTHING)
    return value
