"""A message that no worker can settle, described without giving its token away. Pure.

Decision 8.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

MAX_MESSAGE_BYTES: Final = 1_048_576
"""As much of a message is kept; 20 times what the longest token needs."""
_MAX_TEXT_CHARS: Final = 200
_MAX_MEMBERS: Final = 50
_MAX_DEPTH: Final = 3

# What may hold arguments, and so a token: whoever sends without our options gets Celery's own description.
_ARGUMENTS: Final = frozenset({"argsrepr", "kwargsrepr"})
# A JSON Web Token, or as much of one as was left of it: its header begins with {" in base64url.
_TOKEN: Final = re.compile(r"eyJ[\w-]*(?:\.[\w-]*)*", re.ASCII)
# What differs between two deliveries of the same message.
_DELIVERY: Final = frozenset({"delivery_tag", "delivery_info", "redelivered"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """One message on its way into quarantine; `message` is the queue's entry, byte for byte.

    `producer` is who put it onto the queue; None: our own receiver.
    """

    reason: str
    detail: str
    queue: str
    task_id: str | None
    task_name: str | None
    headers: Mapping[str, Any]
    content_type: str | None
    content_encoding: str | None
    message: bytes
    message_bytes: int
    digest: bytes
    producer: str | None = None


def describe_envelope(  # noqa: PLR0913 - all are named where it is called
    envelope: Mapping[str, Any],
    *,
    reason: str,
    detail: str,
    queue: str,
    message: bytes,
    producer: str | None = None,
) -> Description:
    """Describe a message that has the form of one: kombu's envelope, read from `message`."""
    headers = envelope.get("headers") or {}
    return Description(
        reason=reason,
        detail=printable(detail),
        queue=queue,
        task_id=_text(headers.get("id")),
        task_name=_text(headers.get("task")),
        headers=_shown({name: value for name, value in headers.items() if name not in _ARGUMENTS}),
        content_type=_text(envelope.get("content-type")),
        content_encoding=_text(envelope.get("content-encoding")),
        message=message[:MAX_MESSAGE_BYTES],
        message_bytes=len(message),
        digest=_digest(reason, queue, _same_in_every_delivery(envelope)),
        producer=producer,
    )


def describe_bytes(
    message: bytes, *, reason: str, detail: str, queue: str, producer: str | None = None
) -> Description:
    """Describe what has not even the form of a message."""
    return Description(
        reason=reason,
        detail=printable(detail),
        queue=queue,
        task_id=None,
        task_name=None,
        headers={},
        content_type=None,
        content_encoding=None,
        message=message[:MAX_MESSAGE_BYTES],
        message_bytes=len(message),
        digest=_digest(reason, queue, message),
        producer=producer,
    )


def printable(text: str) -> str:
    """Return a short text that any log and any column takes, with every token in it masked."""
    masked = _TOKEN.sub("(token)", text[: 20 * _MAX_TEXT_CHARS])
    clean = "".join(character if character.isprintable() else "?" for character in masked)
    return clean if len(clean) <= _MAX_TEXT_CHARS else f"{clean[:_MAX_TEXT_CHARS]}..."


def _text(value: object) -> str | None:
    return None if value is None else printable(value if isinstance(value, str) else repr(value))


def _shown(value: object, depth: int = _MAX_DEPTH) -> Any:  # noqa: ANN401 - JSON
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) < 2**63:
        return value
    if isinstance(value, dict) and depth:
        members = list(value.items())[:_MAX_MEMBERS]
        return {printable(str(name)): _shown(member, depth - 1) for name, member in members}
    if isinstance(value, list) and depth:
        return [_shown(member, depth - 1) for member in value[:_MAX_MEMBERS]]
    return _text(value)


def _same_in_every_delivery(envelope: Mapping[str, Any]) -> bytes:
    stable = {
        **envelope,
        **{
            part: {name: value for name, value in members.items() if name not in _DELIVERY}
            for part in ("headers", "properties")
            if isinstance(members := envelope.get(part), dict)
        },
    }
    return json.dumps(stable, sort_keys=True, default=_plain).encode()


def _plain(value: object) -> str:
    # kombu's JSON carries times, decimals, UUIDs and bytes; their text tells two messages apart.
    return (
        value.isoformat()
        if isinstance(value, datetime)
        else str(value)
        if isinstance(value, UUID)
        else repr(value)
    )


def _digest(reason: str, queue: str, message: bytes) -> bytes:
    parts = (reason.encode(), queue.encode("utf-8", "surrogatepass"), message)
    return hashlib.sha256(b"".join(len(part).to_bytes(8) + part for part in parts)).digest()
