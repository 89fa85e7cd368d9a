"""The body of make: read within limits, and the token taken out of it."""

import asyncio
import json
from typing import Final

from starlette.requests import ClientDisconnect, Request

from producer.answers import BodyTooLarge, BodyTooSlow, ClientGone
from producer.verifier import NotAToken, is_token_shaped

MAX_BODY_BYTES: Final = 16_384
BODY_TIMEOUT_SECONDS: Final = 5.0

_BLANK: Final = b" \t\r\n"


async def read_body(request: Request, *, timeout_seconds: float = BODY_TIMEOUT_SECONDS) -> bytes:
    """Return the body; raise BodyTooLarge above MAX_BODY_BYTES, BodyTooSlow, or ClientGone.

    Content-Length, where given, is believed only to refuse early.
    """
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > MAX_BODY_BYTES:
        raise BodyTooLarge
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise BodyTooLarge
    except TimeoutError as error:
        raise BodyTooSlow from error
    except ClientDisconnect as error:
        raise ClientGone from error
    return bytes(body)


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
    if not isinstance(value, str) or not is_token_shaped(value):
        raise NotAToken("the body holds no token")
    return value


def _json_value(text: bytes) -> object:
    try:
        value: object = json.loads(text.decode("utf-8"), object_pairs_hook=_pairs)
    except (ValueError, RecursionError) as error:
        raise NotAToken("the body is not JSON that can be read") from error
    return value


def _pairs(members: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(members)
    if len(value) != len(members):
        raise NotAToken("a member of the body stands twice")
    return value
