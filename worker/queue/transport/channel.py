"""kombu's Redis transport as the worker uses it: entries are moved, not popped, and many at a time.

kombu 5.7 pops a message and then notes it as unacknowledged: where the worker dies in between it is nowhere.
Here Redis moves entries into a hash of the worker's own, where they stay until they are acknowledged.
Decisions 13, 17 and 20.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Final, cast

import structlog
from kombu.transport import redis as redis_transport
from redis.exceptions import (
    ConnectionError,  # noqa: A004 - the one that kombu knows
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
)

from cashback_client.contract import RETRY_QUEUE
from producer.shared.log_tally import LogTally
from worker.queue.broadcasts import fault_of
from worker.queue.entry import EntryMessage, QueueEntry, read_entry
from worker.queue.transport.held import Taken
from worker.queue.transport.lease import LeaseLost, seconds_running
from worker.queue.transport.qos import HoldingQoS

_log = structlog.get_logger(__name__)
_tally = LogTally()

MAX_TOGETHER: Final = 32
# The window grows by one with each message that waits for its ETA. Beyond this the rest waits in Redis.
MAX_WAITING: Final = 9_000
# Long enough to cost an idle worker nothing, short enough for the queues that are not waited at.
_WAIT_SECONDS: Final = 0.1
# Where partners have all that they may: there is room for the next of theirs as soon as one is done.
_SHORT_WAIT_SECONDS: Final = 0.004
# A server that says nothing for so long is away, or the connection leads nowhere.
_SILENCE_SECONDS: Final = 2.0


class EntryTaker:
    """Takes entries in the place of kombu's popping; to be mixed into a channel.

    One question is under way at a time, and kombu's poller takes each for a BRPOP: a take, and where that
    brought nothing, BLMOVE, which waits.
    """

    Message = EntryMessage
    QoS = HoldingQoS
    lease_seconds = 6.0
    stop_seconds = 0.0
    weights: Mapping[str, int] = MappingProxyType({})

    _client_of: tuple[Any, Any] | None = None
    _is_waiting = False
    # BLMOVE was refused: it may need memory where there is none.
    _is_refused = False
    # It is not allowed: then the worker asks without waiting, and pauses between its questions.
    _waits_itself = False
    _pauses_until = 0.0
    _is_known = False
    _let_go: Sequence[str] = ()
    _sent_at = 0.0
    # The take that is under way asks for nothing of partners': as much of theirs as may be is in hand.
    _holds_partners_back = False

    def _brpop_start(self, timeout: float | None = None) -> None:  # noqa: ARG002 - the signature of kombu
        """Send the next question."""
        channel = cast("Any", self)
        if not channel.active_queues or seconds_running() < self._pauses_until:
            return
        holder = channel.qos.hold(self._open_queues(), lease_seconds=self.lease_seconds, weights=self.weights)
        if self._is_waiting:
            seconds = _SHORT_WAIT_SECONDS if self._holds_partners_back else _WAIT_SECONDS
            command = holder.pause(seconds) if self._is_refused else holder.wait(seconds)
        else:
            self._let_go = channel.qos.acknowledged()
            room = channel.qos.room()
            most = MAX_TOGETHER if room is None else min(room, MAX_TOGETHER)
            partners_room = channel.qos.partners_room()
            self._holds_partners_back = partners_room == 0
            command = holder.take(
                room=most,
                partners_room=partners_room,
                landed=channel.qos.landed,
                let_go=self._let_go,
                is_known=self._is_known,
            )
        channel._in_poll = channel.client.connection  # noqa: SLF001 - the mixin is a part of the channel
        channel._brpop_sent_at = time.monotonic()  # noqa: SLF001 - the same
        self._sent_at = seconds_running()
        channel.client.connection.send_command(*command)

    def _open_queues(self) -> Sequence[str]:
        """Return the queues that are taken from: none of what waits, while too much waits here."""
        channel = cast("Any", self)
        if channel.qos.prefetch_count < MAX_WAITING:
            return tuple(channel.active_queues)
        return tuple(queue for queue in channel.active_queues if queue != RETRY_QUEUE)

    def _handle_message(self, client: Any, r: Sequence[Any]) -> dict[str, Any]:  # noqa: ANN401 - of kombu
        """Read what was published; a broadcast that cannot be read is dropped here."""
        received: dict[str, Any] = super()._handle_message(client, r)  # type: ignore[misc] # of the channel
        if received["type"].endswith(b"message") and (fault := fault_of(received["data"])) is not None:
            _tally.tell(_log.warning, "broadcast_dropped", per="broadcast", error=fault)
            received["data"] = None
        return received

    def _brpop_read(self, **_options: Any) -> bool:  # noqa: ANN401 - the signature of kombu
        """Read the reply and deliver what it brings; raises Empty where that is nothing."""
        channel = cast("Any", self)
        try:
            reply = self._reply()
        finally:
            channel._in_poll = None  # noqa: SLF001 - the same
            channel._flush_brpop_reauth()  # noqa: SLF001 - the same
        if channel._closing:  # noqa: SLF001 - the same
            # What it brought is in Redis, and goes back with the rest.
            raise redis_transport.Empty
        entries = self._landed_entry(reply) if self._is_waiting else self._taken_entries(reply)
        if not entries:
            raise redis_transport.Empty
        self._deliver(entries)
        return True

    def _reply(self) -> Any:  # noqa: ANN401 - redis-py's reply
        channel = cast("Any", self)
        connection = channel.client.connection
        try:
            return channel.client.parse_response(connection, "BLMOVE" if self._is_waiting else "EVALSHA")
        except NoScriptError:
            self._is_known = False
            channel.qos.not_let_go(self._let_go)
            raise redis_transport.Empty from None
        except channel.connection_errors as error:
            if self._is_waiting and isinstance(error, OutOfMemoryError):
                self._is_refused = True
                raise redis_transport.Empty from None
            if self._is_waiting and isinstance(error, NoPermissionError):
                self._begin_to_wait_itself()
                raise redis_transport.Empty from None
            connection.disconnect()
            raise

    def _begin_to_wait_itself(self) -> None:
        if not self._waits_itself:
            _log.warning("waiting_not_allowed", what_to_do="let the user in CASHBACK_REDIS_URL run BLMOVE")
        self._waits_itself = True
        self._is_waiting = False
        self._pauses_until = seconds_running() + _WAIT_SECONDS

    def is_able_to_take(self, queue: str) -> bool:
        """Whether what lies on this queue comes here: Redis has granted a lease, and it is kept."""
        channel = cast("Any", self)
        holder = channel.qos.holder
        return (
            queue in channel.active_queues
            and holder is not None
            and not holder.is_new
            and holder.lease.is_kept()
        )

    def _landed_entry(self, raw: bytes | None) -> list[Taken]:
        self._is_waiting = False
        self._is_refused = False
        if raw is None:
            return []
        qos = cast("Any", self).qos
        taken = qos.holder.landed(raw)
        qos.landed = taken.field
        return [taken]

    def _taken_entries(self, reply: Sequence[Any]) -> list[Taken]:
        qos = cast("Any", self).qos
        taken: list[Taken] = qos.holder.read_taken(reply, sent_at=self._sent_at)
        qos.kept(self._sent_at)
        self._is_known = True
        qos.landed = ""
        self._let_go = ()
        self._is_waiting = not taken
        return taken

    def _deliver(self, entries: Sequence[Taken]) -> None:
        channel = cast("Any", self)
        if not channel.active_queues:
            raise LeaseLost("no queue is consumed any more")
        transport = channel.connection
        read: list[QueueEntry] = [read_entry(taken, channel.qos.holder) for taken in entries]
        for entry in read:
            # They count from here on, whatever becomes of the first one.
            channel.qos.note(entry)
        for entry in read:
            # One that was given back can be of a queue that is not asked here: it is a message all the same.
            queue = entry.queue if entry.queue in transport._callbacks else channel.active_queues[0]  # noqa: SLF001
            transport._deliver(entry, queue)  # noqa: SLF001 - the same

    def check(self) -> None:
        """Keep up the lease; raises a connection error where it is lost, or where Redis says nothing."""
        channel = cast("Any", self)
        connection = channel._in_poll  # noqa: SLF001 - the same
        if connection and time.monotonic() - channel._brpop_sent_at > _SILENCE_SECONDS:  # noqa: SLF001 - the same
            sock = getattr(connection, "_sock", None)
            # A reply that is there was only not read: this process was slow.
            if sock is None or not redis_transport._socket_readable(sock):  # noqa: SLF001 - kombu's own question
                raise ConnectionError(f"Redis has said nothing for {_SILENCE_SECONDS:g} s")
        channel.qos.keep_lease()

    def _on_connection_disconnect(self, connection: Any) -> None:  # noqa: ANN401 - the signature of kombu
        channel = cast("Any", self)
        if channel._in_poll is connection and not self._is_waiting and channel.qos.holder is not None:  # noqa: SLF001
            # What the take brought is not known: this channel must not go on as if it had nothing.
            channel.qos.not_let_go(self._let_go)
            channel.qos.holder.lease.end()
        self._is_waiting = False
        self._let_go = ()
        super()._on_connection_disconnect(connection)  # type: ignore[misc] # of the channel it is mixed into

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
