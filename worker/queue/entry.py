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

from cashback_client.envelope import MAX_ENTRY_BYTES
from worker.producers import producer_on
from worker.queue.transport.held import Holder, Taken

UNREADABLE: Final = "cashback-unreadable"
"""The header of an envelope around what is no envelope; its value says what is wrong with it."""

# An envelope is four levels deep. A very deep one can be read and then not be described for the quarantine.
_MAX_DEPTH: Final = 50
_PARTS: Final = (("headers", dict), ("properties", dict), ("body", str))
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
# A JSON Web Token begins with {" in base64url.
_TOKEN_BEGINS: Final = b"eyJ"


class NotAnEntry(ValueError):
    """What lies on the list is no entry that Celery would have put there; says what a sender is to change."""


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

    @property
    def producer(self) -> str:
        """Who handed it in."""
        return producer_on(self.queue, self["headers"])


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
        raise NotAnEntry(f"it has {len(raw)} bytes, and {MAX_ENTRY_BYTES} is the most that is read")
    try:
        envelope = loads(raw)
    except ValueError as error:
        raise NotAnEntry(_why_no_json(raw, error)) from error
    if not isinstance(envelope, dict):
        raise NotAnEntry(_why_no_json(raw, TypeError("it is no object")))
    envelope["headers"] = {} if envelope.get("headers") is None else envelope["headers"]
    for name, kind in _PARTS:
        if not isinstance(envelope.get(name), kind):
            raise NotAnEntry(_why_no_envelope(envelope, name))
    if envelope["headers"].get("compression"):
        raise NotAnEntry("compressed messages are not taken: send the body as it is")
    try:
        body_of(envelope)
    except (ValueError, LookupError, AttributeError) as error:
        raise NotAnEntry(_why_no_body(envelope, error)) from error
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
        raise NotAnEntry(f"nested deeper than {_MAX_DEPTH} levels")


def _why_no_json(raw: bytes, error: Exception) -> str:
    if raw.lstrip(b'" \r\n')[: len(_TOKEN_BEGINS)] == _TOKEN_BEGINS:
        return "a bare token: the list wants an envelope around the message"
    if raw.startswith(_BYTE_ORDER_MARK):
        return "the entry begins with a byte order mark: the list wants JSON without one"
    if isinstance(error, UnicodeDecodeError) or b"\0" in raw[:4]:
        return "the entry is no UTF-8: the list wants JSON in UTF-8"
    return f"the entry is no JSON object: {error}"


def _why_no_envelope(envelope: dict[str, Any], name: str) -> str:
    # Where headers are missing they stand there as empty ones by now.
    if not envelope["headers"] and "body" not in envelope and "properties" not in envelope:
        return "bare JSON: the list wants an envelope around the message"
    return f"{name} is missing or of the wrong type: an envelope has headers, properties and body"


def _why_no_body(envelope: dict[str, Any], error: Exception) -> str:
    encoding = envelope["properties"].get("body_encoding")
    if encoding == "base64":
        return f"the body is no base64, as body_encoding says: {error}"
    return f"body_encoding is {encoding!r}: it is base64, or utf-8 for a body that is JSON as it is"


def _wrapped(error: Exception) -> dict[str, Any]:
    why = str(error) if isinstance(error, NotAnEntry) else f"{type(error).__name__}: {error}"
    # Its bytes stay where they are: `EntryMessage.entry` has them.
    return {
        "body": "",
        "content-type": "application/octet-stream",
        "content-encoding": "binary",
        "headers": {UNREADABLE: why},
        "properties": {},
    }
