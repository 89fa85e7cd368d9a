"""The copy in Redis: a Celery message on the queue of its producer, `cashback` for our own.

Unlike Celery's `send_task` this never blocks the event loop. Decision 11.
"""

import asyncio
import os
import socket
import uuid
from collections.abc import Generator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Final

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from cashback_client.contract import queue_of
from cashback_client.envelope import EntryWriter, envelope
from cashback_client.summary import summary_of
from producer.copies.errors import CopyFailed, CopyTimedOut, ServerUnreachable
from producer.copies.event import ReceivedEvent
from producer.copies.group_commit import GroupCommit, Member, OnEnd
from producer.copies.redis_client import MAX_CONNECTIONS, answered, close_client
from producer.shared.preconditions.redis import (
    RECEIVER_NEEDS,
    Command,
    first_error,
    is_refusal,
    tried,
)

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["Publisher", "envelope"]

GROUPS_AT_ONCE: Final = 2
MAX_GROUP_SIZE: Final = 100


class Publisher:
    """Puts messages onto the queue, many with one command where many wait.

    Each is bounded by `timeout_seconds` in total, and at most `max_waiting` may wait.
    """

    def __init__(self, client: "Redis", *, timeout_seconds: float, max_waiting: int) -> None:
        self._client = client
        self._writer = EntryWriter(
            origin=f"receiver{os.getpid()}@{socket.gethostname()}", sender=str(uuid.uuid4())
        )
        # redis-py's pool raises where it has no connection left, and the groups shall always find one.
        self._checks = asyncio.Semaphore(MAX_CONNECTIONS // 2)
        self._groups: GroupCommit[ReceivedEvent] = GroupCommit(
            self._push,
            what="Redis",
            at_once=GROUPS_AT_ONCE,
            max_size=MAX_GROUP_SIZE,
            max_waiting=max_waiting,
            timeout_seconds=timeout_seconds,
        )

    def publish(self, event: ReceivedEvent, on_end: OnEnd) -> None:
        """Put an event's message onto the queue: when that has ended well, Redis has it.

        It ends with CopyFailed or CopyTimedOut otherwise. Then the message may be on the queue all the
        same, and a lost reply may put it there twice: the task id is the event's, and a second run of an
        event changes nothing.
        """
        self._groups.join(event, on_end)

    async def check(self, *, timeout_seconds: float) -> None:
        """Return if a message could be published now; raise CopyFailed or CopyTimedOut if not."""
        try:
            async with asyncio.timeout(timeout_seconds), self._checks:
                if error := await answered(self._client, _why_it_takes_no_messages):
                    raise error
        except TimeoutError as error:
            raise CopyTimedOut("Redis did not answer in time") from error
        except (RedisError, OSError) as error:
            raise _failure(error) from error

    async def close(self) -> None:
        """Close the connections."""
        await close_client(self._client)

    async def _push(self, group: Sequence[Member[ReceivedEvent]]) -> None:
        members_of: dict[str, list[Member[ReceivedEvent]]] = {}
        for member in group:
            members_of.setdefault(_queue_of(member.item.producer), []).append(member)
        for queue, members in members_of.items():
            try:
                await self._push_onto(queue, members)
            except CopyFailed as error:
                # What is wrong with one producer's list shall not fail the others.
                for member in members:
                    member.end(error)

    async def _push_onto(self, queue: str, group: Sequence[Member[ReceivedEvent]]) -> None:
        # Not written before: the receipts' group, which takes longer, is on its way by now.
        entries = [self._entry(member.item) for member in group]
        try:
            async with asyncio.timeout_at(max(member.until for member in group)):
                # One command: all of them are on the queue, in this order, or none.
                await self._client.lpush(queue, *entries)
        except TimeoutError as error:
            raise CopyTimedOut("Redis did not answer in time") from error
        except (RedisError, OSError) as error:
            raise _failure(error) from error
        for member in group:
            member.end()

    def _entry(self, event: ReceivedEvent) -> bytes:
        return self._writer.entry(event.message, event_id=event.event_id, summary=summary_of(event.data))


# Of few producers: those whose keys are known.
_queue_of: Final = cache(queue_of)


def _why_it_takes_no_messages() -> Generator[Sequence[Command], Sequence[object], Exception | None]:
    found = yield from tried(RECEIVER_NEEDS)
    if found.not_tried is None or not is_refusal(found.not_tried):
        return found.not_tried or found.error
    # Who may not try is told at least whether Redis is there.
    return first_error((yield (("PING",),)))


def _failure(error: RedisError | OSError) -> CopyFailed:
    """Return what an error of a command means for the copy, and for the next ones."""
    text = f"Redis: {type(error).__name__}: {error}"
    if isinstance(error, (RedisConnectionError, RedisTimeoutError, OSError)):
        return ServerUnreachable(text)
    return CopyFailed(text)
