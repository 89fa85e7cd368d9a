"""The sweeper's view of the queues: what waits there, who has a message, and a way to put an event back.

Decision 9.
"""

import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final, Protocol
from uuid import UUID, uuid4

import redis
from celery import Celery
from kombu.exceptions import KombuError

from cashback_client.contract import (
    OWN_PRODUCER,
    QUEUE,
    RETRY_QUEUE,
    TASK_NAME,
    SettleMessage,
    queue_of,
)
from cashback_client.envelope import EntryWriter, message_in
from worker.errors import WorkerError
from worker.producers import sent_again

_PAUSE_SECONDS: Final = 2.0
# Others may put onto the queue what is no message: one among the first of them tells where the head is.
_AT_HEAD: Final = 10
# More than anybody puts before a head between two looks.
_NEAR_HEAD: Final = 1_000
# Five milliseconds of Redis' time, in which it does nothing else.
_MAX_LOOKED_AT: Final = 2_000
# The worker that receives it says what it is about; the token has no place here.
_OVERDUE: Final = "(overdue)"
_FIND: Final = resources.files("worker.recovery.scripts").joinpath("find_messages.lua").read_text("utf-8")


class BrokerUnavailable(WorkerError):
    """Redis did not answer; events are settled straight from their receipts."""

    reason = "broker_unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersKeys:
    """Where Redis has what workers took: their leases, one hash for each, and what was given back."""

    leases: str
    held_prefix: str
    returned: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Events whose messages are on their way: taken by a worker, or on a list that is not of fresh ones.

    Not complete: there was more than could be looked at, and any other message may be there.
    """

    held: frozenset[UUID]
    queued: frozenset[UUID]
    is_complete: bool


class Broker(Protocol):
    """What the sweeper needs of the queue. Its calls are bounded and raise BrokerUnavailable."""

    def at_head(self, queue: str = QUEUE) -> list[UUID] | None:
        """Return the events at a queue's head, the next to be taken first; None: nothing waits there."""
        ...

    def head_of(self, queue: str) -> bytes | None:
        """Return the entry that is to be taken next from a queue."""
        ...

    def still_has(self, queue: str, entry: bytes) -> bool:
        """Whether an entry that was at a queue's head is still near it."""
        ...

    def find(self, event_ids: Sequence[UUID]) -> "Found":
        """Return which events' messages are on their way; a bounded look."""
        ...

    def publish(self, message: SettleMessage, *, producer: str = OWN_PRODUCER) -> None:
        """Put an event of a producer onto the retry queue, which fresh events do not stand in."""
        ...

    def put_first(self, message: SettleMessage, *, producer: str) -> None:
        """Put a partner's event at the head of its own queue, where it is ahead of no other producer's."""
        ...

    def ask(self, question: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - what Redis replies
        """Return what a question to a client of Redis comes to."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


class CeleryBroker:
    """The broker of a Celery app, over a connection of its own; for one thread.

    A broker that failed is not asked again for some seconds: the sweep has better things to do than wait.
    """

    def __init__(
        self,
        app: Celery,
        *,
        keys: WorkersKeys,
        timeout_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._keys = keys
        self._monotonic = monotonic
        self._ask_again_at = 0.0
        self._writer = EntryWriter(origin=f"sweep{os.getpid()}@{socket.gethostname()}", sender=str(uuid4()))
        options = {
            **app.conf.broker_transport_options,
            "socket_timeout": timeout_seconds,
            "socket_connect_timeout": timeout_seconds,
            # kombu's own pauses between attempts to connect would hold up the sweep.
            "max_retries": 1,
            "interval_start": 0,
            "interval_step": 0,
            "interval_max": 0,
        }
        self._connection: Any = app.connection_for_write(transport_options=options)

    def at_head(self, queue: str = QUEUE) -> list[UUID] | None:
        """Return the events at a queue's head; what is no message there is left out."""
        entries = self.ask(lambda client: _head_of(client, queue))
        if not entries:
            return None
        messages = [message_in(entry) for entry in reversed(entries)]
        return [message.event_id for message in messages if message is not None]

    def head_of(self, queue: str) -> bytes | None:
        """Return the entry that is to be taken next from a queue."""
        entry: bytes | None = self.ask(lambda client: client.lindex(queue, -1))
        return entry

    def still_has(self, queue: str, entry: bytes) -> bool:
        """Whether an entry that was at a queue's head is among the first of it."""
        place = self.ask(lambda client: client.lpos(queue, entry, rank=-1, maxlen=_NEAR_HEAD))
        return place is not None

    def find(self, event_ids: Sequence[UUID]) -> Found:
        """Look for the events' messages, by the ids in their envelopes."""
        keys, names = self._keys, {str(event_id): event_id for event_id in event_ids}
        lists = (keys.returned, RETRY_QUEUE)
        reply = self.ask(
            lambda client: client.eval(
                _FIND, 1 + len(lists), keys.leases, *lists, keys.held_prefix, _MAX_LOOKED_AT, *names
            )
        )
        found: dict[bytes, set[UUID]] = {b"held": set(), b"queued": set()}
        for where, name in zip(reply[1::2], reply[2::2], strict=True):
            found[where].add(names[name.decode()])
        return Found(
            held=frozenset(found[b"held"]), queued=frozenset(found[b"queued"]), is_complete=reply[0] == b"1"
        )

    def publish(self, message: SettleMessage, *, producer: str = OWN_PRODUCER) -> None:
        """Put an event of a producer onto the retry queue."""
        self._check_pause()
        try:
            self._app.send_task(
                TASK_NAME,
                kwargs=message.model_dump(),
                task_id=str(message.event_id),
                queue=RETRY_QUEUE,
                connection=self._connection,
                retry=False,
                headers=sent_again({}, producer=producer),
                argsrepr="()",
                kwargsrepr=_OVERDUE,
            )
        except _FAULTS as error:
            raise self._unavailable(error) from error

    def put_first(self, message: SettleMessage, *, producer: str) -> None:
        """Put a partner's event at the head of its own queue; where that is no list, onto the retry queue."""
        entry = self._writer.entry(message, event_id=message.event_id, summary=_OVERDUE)
        if not self.ask(lambda client: _has_pushed(client, queue_of(producer), entry)):
            self.publish(message, producer=producer)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def ask(self, question: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - what Redis replies
        """Return what a question to a client of Redis comes to."""
        self._check_pause()
        try:
            return question(self._connection.default_channel.client)
        except _FAULTS as error:
            raise self._unavailable(error) from error

    def _check_pause(self) -> None:
        if self._monotonic() < self._ask_again_at:
            raise BrokerUnavailable("Redis failed a moment ago")

    def _unavailable(self, error: Exception) -> BrokerUnavailable:
        self._ask_again_at = self._monotonic() + _PAUSE_SECONDS
        self._connection.collect()
        return BrokerUnavailable(f"Redis: {type(error).__name__}: {error}")


def _head_of(client: Any, queue: str) -> list[bytes]:  # noqa: ANN401 - redis-py's client of kombu's
    try:
        head: list[bytes] = client.lrange(queue, -_AT_HEAD, -1)
    except redis.ResponseError:
        # What is wrong with a partner's list is its own affair: nobody knows what waits there.
        if queue == QUEUE:
            raise
        return [b""]
    return head


def _has_pushed(client: Any, queue: str, entry: bytes) -> bool:  # noqa: ANN401 - the same
    try:
        client.rpush(queue, entry)
    except redis.ResponseError:
        return False
    return True


_FAULTS: Final = (redis.RedisError, KombuError, OSError)
