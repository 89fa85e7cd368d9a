"""The body of make: read within limits, and the token taken out of it."""

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


async def read_body(
    scope: Scope, receive: Receive, *, timeout_seconds: float = BODY_TIMEOUT_SECONDS
) -> bytes:
    """Return the body; raise BodyTooLarge above MAX_BODY_BYTES, BodyTooSlow, or ClientGone.

    Content-Length, where given, is believed only to refuse early. Source of the messages: the ASGI
    specification, "HTTP & WebSocket ASGI Message Format".
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > MAX_BODY_BYTES:
            raise BodyTooLarge
    try:
        # Nearly every body comes with its head, and is there.
        return await in_time(_whole_body(receive), timeout_seconds=timeout_seconds)
    except TimeoutError as error:
        raise BodyTooSlow from error


async def _whole_body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    while message["type"] == "http.request" and message.get("more_body") and len(body) <= MAX_BODY_BYTES:
        message = await receive()
        body += message.get("body", b"")
    if message["type"] != "http.request":
        raise ClientGone
    if len(body) > MAX_BODY_BYTES:
        raise BodyTooLarge
    return body


def token_in(body: bytes) -> str:
    """Return the token that a body of make carries; raise NotAToken where there is none.

    Three shapes are taken, whatever the Content-Type says: the token as a JSON string, as plain text,
    and as the string member `token`, the only one, of a JSON object.
    """
    stripped = body.strip(_BLANK)
    if stripped[:1] in {b'"', b"{"}:
        value = _json_value(stripped)
        if isinstance(value, dict) and value.keys() == {"token"}:
            value = value["token"]
    else:
        value = stripped.decode("ascii", "replace")
    # Only what a glance shows: the verifier looks at each character.
    if not isinstance(value, str) or not value.isascii() or value.count(".") != _DOTS:
        raise NotAToken("the body holds no token")
    return value


def _json_value(text: bytes) -> object:
    try:
        value: object = _DECODER.decode(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise NotAToken("the body is not JSON that can be read") from error
    return value


def _pairs(members: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(members)
    if len(value) != len(members):
        raise NotAToken("a member of the body stands twice")
    return value


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_pairs)
