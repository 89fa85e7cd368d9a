"""The form of a message on the queue: what Celery's message protocol 2 and kombu's Redis transport define.

It is built by hand, which saves most of what `send_task` costs; a test keeps it equal to what `send_task`
makes. Decision 11.
"""

import itertools
import json
from binascii import a2b_base64, b2a_base64
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, Final
from uuid import UUID

from cashback_client.contract import QUEUE, TASK_NAME, SettleMessage

MAX_ENTRY_BYTES: Final = 262_144
"""Ten times what an entry with the longest token has; of a longer one nothing is read."""

_EMBED: Final = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
_PERSISTENT: Final = 2
# What stands in a template until it is filled in: nothing that a host could be called.
_BODY: Final = "<body>"
_TAG: Final = "<tag>"
_SUMMARY: Final = "<summary>"
_TOKEN: Final = "<token>"  # noqa: S105 - it is none
_RECEIVED_AT_MS: Final = 111_222_333_444_555


def envelope(message: SettleMessage, *, summary: str, origin: str, delivery_tag: str) -> dict[str, Any]:
    """Return the queue's entry for `message`, to be stored as JSON.

    `summary` is what Flower shows as the arguments, `origin` names the sender, and `delivery_tag` is
    unique to this entry: kombu keys its unacknowledged messages by it. Sources: Celery's "Message
    Protocol", version 2; kombu, transport/virtual/base.py.
    """
    task_id = str(message.event_id)
    return {
        "body": b2a_base64(_body(message).encode(), newline=False).decode("ascii"),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": TASK_NAME,
            "id": task_id,
            "shadow": None,
            "eta": None,
            # Celery drops an expired message without a trace, so the deadline is never set here.
            "expires": None,
            "group": None,
            "group_index": None,
            "retries": 0,
            "timelimit": [None, None],
            "root_id": task_id,
            "parent_id": None,
            "argsrepr": "()",
            "kwargsrepr": summary,
            "origin": origin,
            "ignore_result": True,
            "replaced_task_nesting": 0,
            "stamped_headers": None,
            "stamps": {},
        },
        "properties": {
            "correlation_id": task_id,
            "reply_to": "",
            "delivery_mode": _PERSISTENT,
            "delivery_info": {"exchange": "", "routing_key": QUEUE},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": delivery_tag,
        },
    }


class EntryWriter:
    """Writes messages as entries of the queue: `envelope` as JSON; what is always the same is done once.

    `origin` is as in `envelope`. `sender` tells this writer from all others that ever wrote; with a number
    behind it, it makes the delivery tags.
    """

    def __init__(self, *, origin: str, sender: str) -> None:
        blank = SettleMessage(token=_TOKEN, received_at_ms=_RECEIVED_AT_MS)
        entry = envelope(blank, summary=_SUMMARY, origin=origin, delivery_tag=_TAG) | {"body": _BODY}
        self._entry = _template(
            json.dumps(entry),
            {_BODY: b"body", str(blank.event_id): b"task_id", json.dumps(_SUMMARY): b"summary", _TAG: b"tag"},
        )
        self._body = _template(
            _body(blank), {json.dumps(_TOKEN): b"token", str(_RECEIVED_AT_MS): b"received_at_ms"}
        )
        self._sender = sender.encode("ascii")
        self._numbers = itertools.count(1)

    def entry(self, message: SettleMessage, *, event_id: UUID, summary: str) -> bytes:
        """Return the entry for a message, with a delivery tag of its own; `event_id` is the message's."""
        body = self._body % {
            b"token": quoted(message.token).encode("ascii"),
            b"received_at_ms": b"%d" % message.received_at_ms,
        }
        return self._entry % {
            b"body": b2a_base64(body, newline=False),
            b"task_id": str(event_id).encode("ascii"),
            b"summary": quoted(summary).encode("ascii"),
            b"tag": b"%b.%d" % (self._sender, next(self._numbers)),
        }


def message_in(entry: bytes | str) -> SettleMessage | None:
    """Return the message of an entry of a queue as it lies in Redis; None where there is none of ours.

    Nothing of it is verified.
    """
    if len(entry) > MAX_ENTRY_BYTES:
        return None
    try:
        _, kwargs, _ = json.loads(a2b_base64(json.loads(entry)["body"]))
        return SettleMessage.model_validate(kwargs)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _body(message: SettleMessage) -> str:
    return json.dumps([[], message.model_dump(), _EMBED])


def _template(text: str, places: dict[str, bytes]) -> bytes:
    """Return `text` as a template for %, with these parts of it replaced by named places."""
    template = text.encode("ascii").replace(b"%", b"%%")
    for part, name in places.items():
        template = template.replace(part.encode("ascii"), b"%%(%b)b" % name)
    return template
