"""kombu's Redis transport as the worker uses it: many messages at a time, and none lost in between.

kombu 5.7 makes three round trips for each message: to fetch it, to note it as unacknowledged, to acknowledge
it. Here each of them is made for all messages that there are at that moment. Decisions 13 and 17.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, cast

import structlog
from kombu.transport import redis as redis_transport
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps
from redis.exceptions import ResponseError

from worker.queue.entry import EntryMessage, QueueEntry, read_entry
from worker.queue.redis_multi import Command, RedisMulti

_log = structlog.get_logger(__name__)

MAX_TOGETHER: Final = 32
# Less is not worth the round trips; what waits in the worker meanwhile keeps its threads busy.
_WORTH_TAKING: Final = 4


class _QoS(redis_transport.QoS):  # type: ignore[misc]  # kombu has no types
    """kombu's record of what is unacknowledged, written for many messages at once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the signature of kombu
        super().__init__(*args, **kwargs)
        self._acknowledged: list[str] = []
        self._being_removed: tuple[str, ...] = ()
        self._takes_along = False
        # A channel that closes disconnects its pool, and this connection with it.
        self._redis = RedisMulti(self._own_connection)

    def can_consume(self) -> bool:
        """Say whether so few messages are in hand that it is worth to take more."""
        room = self.room()
        return room is None or room >= max(1, min(_WORTH_TAKING, self.prefetch_count // 4))

    def room(self) -> int | None:
        """Return how many messages more may be taken in hand; None without a limit."""
        in_hand = len(self._delivered) - len(self._dirty)
        return max(0, self.prefetch_count - in_hand) if self.prefetch_count else None

    def begin_note(self, entries: Sequence[QueueEntry], *, take_along: int = 0, from_key: str = "") -> None:
        """Note entries that were popped as unacknowledged, all in one round trip, which `end_note` ends.

        In the same one up to `take_along` entries more are popped from the list `from_key`, and what was
        acknowledged is removed.
        """
        now = time.time()
        scores = [part for entry in entries for part in (now, entry.delivery_tag)]
        notes = [part for entry in entries for part in (entry.delivery_tag, _as_unacked(entry))]
        commands: list[Command] = [
            *self._removal(),
            ("ZADD", self.unacked_index_key, *scores),
            ("HSET", self.unacked_key, *notes),
        ]
        if take_along > 0:
            commands.append(("RPOP", from_key, take_along))
        self._takes_along = take_along > 0
        self._redis.begin(commands)
        if self._dirty:
            self._flush()
        for entry in entries:
            # From here on it is handed back if the channel closes before somebody got it.
            self._quick_append(entry.delivery_tag, entry)

    def end_note(self) -> list[bytes]:
        """Wait until they are noted; return the entries that were popped along with them."""
        replies = self._redis.end()
        self._forget_removed()
        return (replies[-1] or []) if self._takes_along else []

    def append(self, message: Any, delivery_tag: str) -> None:  # noqa: ANN401 - the signature of kombu
        """Take note of a message on its way to Celery, which `begin_note` has been told of."""
        if delivery_tag in self._delivered:
            self._quick_append(delivery_tag, message)
        else:
            super().append(message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge with the next `write_acknowledged`; there is room for another one at once."""
        self._acknowledged.append(delivery_tag)
        self._quick_ack(delivery_tag)

    def write_acknowledged(self) -> None:
        """Tell Redis what was acknowledged, in one round trip.

        Raises the errors of Redis; what is not written is written by the next call.
        """
        if not self._acknowledged:
            return
        self._redis.begin(self._removal())
        self._redis.end()
        self._forget_removed()

    def _own_connection(self) -> Any:  # noqa: ANN401 - redis-py's connection
        return self.channel.pool.get_connection()

    def _removal(self) -> list[Command]:
        """Return what removes all that is acknowledged by now."""
        tags = self._being_removed = tuple(self._acknowledged)
        if not tags:
            return []
        return [("ZREM", self.unacked_index_key, *tags), ("HDEL", self.unacked_key, *tags)]

    def _forget_removed(self) -> None:
        del self._acknowledged[: len(self._being_removed)]
        self._being_removed = ()

    def restore_unacked_once(self, stderr: Any = None) -> None:  # noqa: ANN401 - the signature of kombu
        """Acknowledge what is still to be, and hand back the rest, when the channel closes."""
        # A channel is also closed because its server is gone, and kombu 5.7 can then fail in ways that end
        # the worker. What is not handed back stays in `unacked`; receipts bring its events back sooner.
        try:
            self.write_acknowledged()
            super().restore_unacked_once(stderr=stderr)
        except Exception:  # noqa: BLE001 - logged with its traceback
            _log.warning("unacked_not_handed_back", exc_info=True)


def _as_unacked(entry: QueueEntry) -> str | bytes:
    """Return what stands in `unacked` for an entry: kombu's JSON of it and of its way back."""
    way_back: str = dumps(["", entry.queue])
    if entry.is_as_sent:
        return b"[" + entry.raw + b"," + way_back[1:].encode()
    return cast("str", dumps([entry, "", entry.queue]))


class _EntryReader:
    """Replaces kombu's reading of a popped entry; to be mixed into a channel."""

    Message = EntryMessage
    QoS = _QoS
    _client_of: tuple[Any, Any] | None = None

    def _brpop_read(self, **options: Any) -> bool:  # noqa: ANN401 - the signature of kombu
        # kombu 5.7's own method (transport/redis.py), but for read_entry in the place of json.loads, and
        # for taking along more of the same queue where there is room.
        channel = cast("Any", self)
        try:
            try:
                popped = channel.client.parse_response(channel.client.connection, "BRPOP", **options)
            except channel.connection_errors:
                channel.client.connection.disconnect()
                raise
            if not popped:
                raise redis_transport.Empty
            destination, raw = popped
            queue = bytes_to_str(destination).rsplit(channel.sep, 1)[0]
            channel._queue_cycle.rotate(queue)  # noqa: SLF001 - the mixin is a part of the channel
            self._take(raw, bytes_to_str(destination), queue)
            return True
        finally:
            channel._in_poll = None  # noqa: SLF001 - the same
            channel._flush_brpop_reauth()  # noqa: SLF001 - the same

    def _take(self, raw: bytes, key: str, queue: str) -> None:
        """Note what was popped and deliver it, and with it more of the same queue where there is room."""
        channel = cast("Any", self)
        deliver = channel.connection._deliver  # noqa: SLF001 - the mixin is a part of the channel
        first = read_entry(raw, queue)
        room = channel.qos.room()
        most = MAX_TOGETHER if room is None else min(room, MAX_TOGETHER)
        channel.qos.begin_note([first], take_along=most - 1, from_key=key)
        try:
            # Nobody but this worker has it by now: it gains nothing by waiting until Redis has it again.
            deliver(first, queue)
        finally:
            # Whatever became of the first one, those that came along are noted.
            more = [read_entry(each, queue) for each in channel.qos.end_note()]
            if more:
                channel.qos.begin_note(more)
                channel.qos.end_note()
        for entry in more:
            deliver(entry, queue)

    @contextmanager
    def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:  # noqa: ANN401 - the signature of kombu
        """Yield a client of this channel's connections; making one costs more than what it is used for."""
        channel = cast("Any", self)
        if client is None:
            pool = channel.pool
            if self._client_of is None or self._client_of[0] is not pool:
                self._client_of = (pool, channel._create_client())  # noqa: SLF001 - the same
            client = self._client_of[1]
        yield client


class _Channel(_EntryReader, redis_transport.Channel):  # type: ignore[misc]  # kombu has no types
    pass


class _SentinelChannel(_EntryReader, redis_transport.SentinelChannel):  # type: ignore[misc]
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
