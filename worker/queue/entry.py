"""How the worker reads an entry of a queue: whatever it is, it becomes a message that can be put aside.

One that kombu 5.7 cannot read ends the worker (what is no JSON) or makes it reconnect (an envelope that lacks
a part). Here such an entry is wrapped into an envelope of its own, so that it takes the path of every
message. What Redis has of it are always the bytes that were sent. Decisions 8 and 20.
"""

from collections.abc import Callable
from typing import Any, Final

from kombu.transport import virtual
from kombu.utils.json import loads
from redis.exceptions import ConnectionError  # noqa: A004 - the one that kombu knows

from producer.client.envelope import MAX_ENTRY_BYTES
from worker.queue.held import Holder, Taken

UNREADABLE: Final = "cashback-unreadable"
"""The header of an envelope around what is no envelope; its value says what is wrong with it."""

# An envelope is four levels deep. A very deep one can be read and then not be described for the quarantine.
_MAX_DEPTH: Final = 50


class QueueEntry(dict[str, Any]):
    """One message of a queue: kombu's envelope, what it was read from, and who has it."""

    taken: Taken
    holder: Holder

    @property
    def raw(self) -> bytes:
        """The bytes that it was read from."""
        return self.taken.raw

    @property
    def queue(self) -> str:
        """The queue that it was on."""
        return self.taken.queue


class EntryMessage(virtual.Message):  # type: ignore[misc]  # kombu has no types
    """A message that knows the entry it was made from, and can outlive its channel.

    A run can end after the worker has lost its connection and made another. kombu 5.7 would acknowledge on
    the closed channel, which ends the worker. Here any channel will do, as the entry knows who has it: the
    consumer says which one is its own now.
    """

    channel: Any
    current_channel: Callable[[], Any] | None = None
    room_made: Callable[[], None] | None = None

    def __init__(self, payload: QueueEntry, channel: Any = None, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(payload, channel=channel, **kwargs)
        self.entry = payload

    def set_aside(self) -> None:
        """Have it not count as in hand any more, before it is acknowledged: another one may be taken."""
        self.channel.qos.set_aside(self.entry)
        if self.room_made is not None:
            self.room_made()

    def ack(self, multiple: bool = False) -> None:  # noqa: FBT001, FBT002 - the signature of kombu
        """Acknowledge; raises a connection error of Redis where no channel is open."""
        if self.channel.connection is not None:
            super().ack(multiple=multiple)
        else:
            self._open_channel().qos.let_go_for(self.entry)
            self._state = "ACK"

    def reject(self, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - the signature of kombu
        """Reject, or give back; raises as `ack` does."""
        if self.channel.connection is not None:
            super().reject(requeue=requeue)
        elif requeue:
            self._open_channel().qos.give_back(self.entry)
            self._state = "REQUEUED"
        else:
            self.ack()

    def _open_channel(self) -> Any:  # noqa: ANN401 - kombu has no types
        channel = self.current_channel and self.current_channel()
        if channel is None or channel.connection is None:
            raise ConnectionError("the channel of the message is closed")
        return channel


def read_entry(taken: Taken, holder: Holder) -> QueueEntry:
    """Read an entry; never raises, and always returns an envelope that kombu takes.

    Its delivery tag is its field in the hash of its holder, because senders can repeat theirs.
    """
    try:
        entry = QueueEntry(read_envelope(taken.raw))
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not take the entry with it
        entry = QueueEntry(_wrapped(error))
    entry["properties"] = {
        **entry["properties"],
        "delivery_tag": taken.field,
        "delivery_info": {"exchange": "", "routing_key": taken.queue},
    }
    entry.taken = taken
    entry.holder = holder
    return entry


def read_envelope(raw: bytes) -> dict[str, Any]:
    """Return kombu's envelope; raises whatever is wrong with it.

    Its body can be decoded. Nothing is unpacked: a thousand bytes would be as many million.
    """
    if len(raw) > MAX_ENTRY_BYTES:
        raise ValueError(f"it has {len(raw)} bytes, and {MAX_ENTRY_BYTES} is the most that is read")
    envelope = loads(raw)
    if not isinstance(envelope, dict):
        raise TypeError("the entry is no JSON object")
    envelope["headers"] = {} if envelope.get("headers") is None else envelope["headers"]
    for name, kind in (("headers", dict), ("properties", dict), ("body", str)):
        if not isinstance(envelope.get(name), kind):
            raise TypeError(f"{name} is missing or of the wrong type")
    if envelope["headers"].get("compression"):
        raise ValueError("compressed messages are not taken")
    body_of(envelope)
    if raw.count(b"{") + raw.count(b"[") > _MAX_DEPTH:
        _refuse_deep(envelope)
    return envelope


def body_of(envelope: dict[str, Any]) -> bytes | str:
    """Return an envelope's body, decoded."""
    encoding = envelope["properties"].get("body_encoding")
    if encoding is None or encoding.lower() == "utf-8":
        return str(envelope["body"])
    body: bytes = virtual.Channel.codecs[encoding].decode(envelope["body"])
    return body


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


def _wrapped(error: Exception) -> dict[str, Any]:
    # Its bytes stay where they are: `EntryMessage.entry` has them.
    return {
        "body": "",
        "content-type": "application/octet-stream",
        "content-encoding": "binary",
        "headers": {UNREADABLE: f"{type(error).__name__}: {error}"},
        "properties": {},
    }
