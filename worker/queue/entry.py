"""How the worker reads an entry of a queue: whatever it is, it becomes a message that can be put aside.

kombu 5.7 pops an entry and then reads it. One that it cannot read is gone, and the error ends the worker
(what is no JSON) or makes it reconnect (an envelope that lacks a part). Here such an entry is wrapped
into an envelope of its own, so that it takes the path of every message: it stands in `unacked` until it
is acknowledged, and comes back when its worker dies. Decision 8.
"""

import base64
from collections.abc import Callable
from typing import Any, Final

from kombu.transport import virtual
from kombu.utils.json import loads
from kombu.utils.uuid import uuid
from redis.exceptions import ConnectionError  # noqa: A004 - the one that kombu knows

UNREADABLE: Final = "cashback-unreadable"
"""The header of an envelope around what is no envelope; its value says what is wrong with it."""

# An envelope is four levels deep. A very deep one can be read and then not be written to `unacked`.
_MAX_DEPTH: Final = 50


class QueueEntry(dict[str, Any]):
    """One message of a queue: kombu's envelope, with the bytes that it was read from and its queue."""

    raw: bytes
    queue: str
    delivery_tag: str
    is_as_sent: bool
    """Whether `raw` itself may stand in `unacked`: kombu can restore it as it is."""


class EntryMessage(virtual.Message):  # type: ignore[misc]  # kombu has no types
    """A message that knows the entry it was made from, and can outlive its channel.

    A run can end after the worker has lost its connection and made another. kombu 5.7 would acknowledge on
    the closed channel, which ends the worker. Redis knows what is unacknowledged by its delivery tag, so any
    channel will do: the consumer says which one is its own now.
    """

    channel: Any
    current_channel: Callable[[], Any] | None = None

    def __init__(self, payload: dict[str, Any], channel: Any = None, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(payload, channel=channel, **kwargs)
        self.entry = payload

    def ack(self, multiple: bool = False) -> None:  # noqa: FBT001, FBT002 - the signature of kombu
        """Acknowledge; raises a connection error of Redis where no channel is open."""
        self._take_open_channel()
        super().ack(multiple=multiple)

    def reject(self, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - the signature of kombu
        """Reject, or give back to the queue; raises as `ack` does."""
        self._take_open_channel()
        super().reject(requeue=requeue)

    def _take_open_channel(self) -> None:
        if self.channel.connection is None and self.current_channel is not None:
            self.channel = self.current_channel() or self.channel
        if self.channel.connection is None:
            raise ConnectionError("the channel of the message is closed")


def read_entry(raw: bytes, queue: str) -> QueueEntry:
    """Read what was popped from `queue`; never raises, and always returns an envelope that kombu takes.

    Its delivery tag is made here, because senders can repeat theirs and kombu keys what is unacknowledged
    by it. Its way back is the queue it came from, whatever it says: kombu restores by the exchange that a
    sender names, and drops the message where that has no binding.
    """
    try:
        entry = QueueEntry(_checked(raw))
        entry.is_as_sent = _can_be_restored(entry)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not take the entry with it
        entry = QueueEntry(_wrapped(raw, error))
        entry.is_as_sent = False
    entry.delivery_tag = uuid()
    entry["properties"] = {
        **entry["properties"],
        "delivery_tag": entry.delivery_tag,
        "delivery_info": {"exchange": "", "routing_key": queue},
    }
    entry.raw = raw
    entry.queue = queue
    return entry


def _checked(raw: bytes) -> dict[str, Any]:
    envelope = loads(raw)
    if not isinstance(envelope, dict):
        raise TypeError("the entry is no JSON object")
    envelope["headers"] = {} if envelope.get("headers") is None else envelope["headers"]
    for name, kind in (("headers", dict), ("properties", dict), ("body", str)):
        if not isinstance(envelope.get(name), kind):
            raise TypeError(f"{name} is missing or of the wrong type")
    encoding = envelope["properties"].get("body_encoding")
    if encoding is not None and encoding.lower() != "utf-8":
        virtual.Channel.codecs[encoding].decode(envelope["body"])
    if raw.count(b"{") + raw.count(b"[") > _MAX_DEPTH:
        _refuse_deep(envelope)
    return envelope


def _can_be_restored(entry: QueueEntry) -> bool:
    # kombu's restoring writes into these, and drops a message where it cannot. Headers that were missing
    # are an empty object by now.
    return bool(entry["headers"]) and isinstance(entry["properties"].get("delivery_info"), dict)


def _refuse_deep(envelope: dict[str, Any]) -> None:
    level: list[Any] = [envelope]
    for _ in range(_MAX_DEPTH):
        level = [
            member
            for value in level
            if isinstance(value, dict | list)
            for member in (value.values() if isinstance(value, dict) else value)
        ]
    if level:
        raise ValueError(f"nested deeper than {_MAX_DEPTH} levels")


def _wrapped(raw: bytes, error: Exception) -> dict[str, Any]:
    return {
        "body": base64.b64encode(raw).decode("ascii"),
        "content-type": "application/octet-stream",
        "content-encoding": "binary",
        "headers": {UNREADABLE: f"{type(error).__name__}: {error}"},
        "properties": {"body_encoding": "base64"},
    }
