"""How the worker reads an element of a queue: whatever it is, it becomes a message that can be put aside.

kombu 5.7 pops an element and then reads it. One that it cannot read is gone, and the error ends the worker
(what is no JSON) or makes it reconnect (an envelope that lacks a part). Here such an element is wrapped
into an envelope of its own, so that it takes the path of every message: it stands in `unacked` until it
is acknowledged, and comes back when its worker dies.
"""

import base64
from collections.abc import Callable
from typing import Any, Final, cast

import structlog
from kombu.transport import redis as redis_transport
from kombu.transport import virtual
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads
from kombu.utils.uuid import uuid
from redis.exceptions import ConnectionError, ResponseError  # noqa: A004 - the one that kombu knows

UNREADABLE: Final = "cashback-unreadable"
"""The header of an envelope around an element that was none; its value says what was wrong with it."""

_log = structlog.get_logger(__name__)

# An envelope is four levels deep. A very deep one can be read and then not be written to `unacked`.
_MAX_DEPTH: Final = 50


class Element(dict[str, Any]):
    """One message of a queue: kombu's envelope, with the bytes that it was read from and its queue."""

    entry: bytes
    queue: str


class ElementMessage(virtual.Message):  # type: ignore[misc]  # kombu has no types
    """A message that knows the element it was made from, and can outlive its channel.

    A run can end after the worker has lost its connection and made another. kombu 5.7 would acknowledge on
    the closed channel, which ends the worker. Redis knows what is unacknowledged by its delivery tag, so any
    channel will do: the consumer says which one is its own now.
    """

    channel: Any
    current_channel: Callable[[], Any] | None = None

    def __init__(self, payload: dict[str, Any], channel: Any = None, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(payload, channel=channel, **kwargs)
        self.element = payload

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


def read_element(entry: bytes, queue: str) -> Element:
    """Read what was popped from `queue`; never raises, and always returns an envelope that kombu takes.

    Its delivery tag is made here, because senders can repeat theirs and kombu keys what is unacknowledged
    by it. Its way back is the queue it came from, whatever it says: kombu restores by the exchange that a
    sender names, and drops the message where that has no binding.
    """
    try:
        element = Element(_checked(entry))
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not take the element with it
        element = Element(_wrapped(entry, error))
    element["properties"] = {
        **element["properties"],
        "delivery_tag": uuid(),
        "delivery_info": {"exchange": "", "routing_key": queue},
    }
    element.entry = entry
    element.queue = queue
    return element


def _checked(entry: bytes) -> dict[str, Any]:
    envelope = loads(entry)
    if not isinstance(envelope, dict):
        raise TypeError("the element is no JSON object")
    envelope["headers"] = {} if envelope.get("headers") is None else envelope["headers"]
    for name, kind in (("headers", dict), ("properties", dict), ("body", str)):
        if not isinstance(envelope.get(name), kind):
            raise TypeError(f"{name} is missing or of the wrong type")
    encoding = envelope["properties"].get("body_encoding")
    if encoding is not None and encoding.lower() != "utf-8":
        virtual.Channel.codecs[encoding].decode(envelope["body"])
    if entry.count(b"{") + entry.count(b"[") > _MAX_DEPTH:
        _refuse_deep(envelope)
    return envelope


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


def _wrapped(entry: bytes, error: Exception) -> dict[str, Any]:
    return {
        "body": base64.b64encode(entry).decode("ascii"),
        "content-type": "application/octet-stream",
        "content-encoding": "binary",
        "headers": {UNREADABLE: f"{type(error).__name__}: {error}"},
        "properties": {"body_encoding": "base64"},
    }


class _QoS(redis_transport.QoS):  # type: ignore[misc]  # kombu has no types
    """kombu's record of what is unacknowledged; it hands back what it can when its channel closes."""

    def restore_unacked_once(self, stderr: Any = None) -> None:  # noqa: ANN401 - the signature of kombu
        # A channel is also closed because its server is gone, and kombu 5.7 can then fail in ways that end
        # the worker. What is not handed back stays in `unacked`; receipts bring its events back sooner.
        try:
            super().restore_unacked_once(stderr=stderr)
        except Exception:  # noqa: BLE001 - logged with its traceback
            _log.warning("unacked_not_handed_back", exc_info=True)


class _ElementReader:
    """Replaces kombu's reading of a popped element; to be mixed into a channel."""

    Message = ElementMessage
    QoS = _QoS

    def _brpop_read(self, **options: Any) -> bool:  # noqa: ANN401 - the signature of kombu
        # kombu 5.7's own method (transport/redis.py), but for read_element in the place of json.loads.
        channel = cast("Any", self)
        try:
            try:
                popped = channel.client.parse_response(channel.client.connection, "BRPOP", **options)
            except channel.connection_errors:
                channel.client.connection.disconnect()
                raise
            if not popped:
                raise redis_transport.Empty
            destination, entry = popped
            queue = bytes_to_str(destination).rsplit(channel.sep, 1)[0]
            channel._queue_cycle.rotate(queue)  # noqa: SLF001 - the mixin is a part of the channel
            channel.connection._deliver(read_element(entry, queue), queue)  # noqa: SLF001 - the same
            return True
        finally:
            channel._in_poll = None  # noqa: SLF001 - the same
            channel._flush_brpop_reauth()  # noqa: SLF001 - the same


class _Channel(_ElementReader, redis_transport.Channel):  # type: ignore[misc]  # kombu has no types
    pass


class _SentinelChannel(_ElementReader, redis_transport.SentinelChannel):  # type: ignore[misc]
    pass


# A server that refuses a command (its disk or memory is full, or it became a replica) counts as away: to
# Celery such an error is the end of the worker, but here it reconnects, and the sweeper settles meanwhile.
_OUTAGES: Final = (*redis_transport.Transport.connection_errors, ResponseError)


class _Transport(redis_transport.Transport):  # type: ignore[misc]  # kombu has no types
    Channel = _Channel
    connection_errors = _OUTAGES


class _SentinelTransport(redis_transport.SentinelTransport):  # type: ignore[misc]  # kombu has no types
    Channel = _SentinelChannel
    connection_errors = _OUTAGES


def readable_transport(transport: type[Any]) -> type[Any]:
    """Return kombu's Redis transport, plain or with sentinels, with the reading of this module."""
    readable = {
        redis_transport.Transport: _Transport,
        redis_transport.SentinelTransport: _SentinelTransport,
    }
    return readable.get(transport, transport)
