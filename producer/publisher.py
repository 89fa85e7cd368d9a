"""The copy in Redis: a Celery message on the queue `cashback`.

The envelope is built by hand, in the form that Celery's message protocol 2 and kombu's Redis transport
define. It saves most of what `send_task` costs and, unlike it, never blocks the event loop; a test
keeps it equal to what `send_task` makes.
"""

import asyncio
import json
import os
import socket
import uuid
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import RedisError

from producer.contract import QUEUE, TASK_NAME, SettleMessage
from producer.errors import CopyFailed, CopyTimedOut
from producer.redis_client import MAX_CONNECTIONS, close_client

if TYPE_CHECKING:
    from redis.asyncio import Redis

_EMBED: Final = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
_PERSISTENT: Final = 2


def envelope(message: SettleMessage, *, summary: str, origin: str, delivery_tag: str) -> dict[str, Any]:
    """Return the queue's entry for `message`, to be stored as JSON.

    `summary` is what Flower shows as the arguments, `origin` names the sender, and `delivery_tag` is
    unique to this entry: kombu keys its unacknowledged messages by it. Sources: Celery's "Message
    Protocol", version 2; kombu, transport/virtual/base.py.
    """
    task_id = str(message.event_id)
    body = json.dumps([[], message.model_dump(), _EMBED])
    return {
        "body": b64encode(body.encode()).decode("ascii"),
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


class Publisher:
    """Puts messages onto the queue, each bounded by `timeout_seconds` in total."""

    def __init__(self, client: "Redis", *, timeout_seconds: float) -> None:
        self._client = client
        self._timeout_seconds = timeout_seconds
        # redis-py's pool raises where it has no connection left; here the next publish waits its turn.
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)
        self._origin = f"receiver{os.getpid()}@{socket.gethostname()}"

    async def publish(self, message: SettleMessage, *, summary: str) -> None:
        """Put `message` onto the queue; on return Redis has it. Raises CopyFailed, CopyTimedOut.

        After an error the message may be on the queue all the same, and a lost reply may put it there
        twice: the task id is the event's, and a second run of an event changes nothing.
        """
        entry = json.dumps(
            envelope(message, summary=summary, origin=self._origin, delivery_tag=str(uuid.uuid4()))
        )
        try:
            async with asyncio.timeout(self._timeout_seconds), self._slots:
                await self._client.lpush(QUEUE, entry)
        except TimeoutError as error:
            raise CopyTimedOut("Redis did not answer in time") from error
        except (RedisError, OSError) as error:
            raise CopyFailed(f"Redis: {type(error).__name__}: {error}") from error

    async def check(self, *, timeout_seconds: float) -> None:
        """Return if Redis answers a PING in time; raise CopyFailed or CopyTimedOut if not."""
        try:
            async with asyncio.timeout(timeout_seconds), self._slots:
                await self._client.ping()
        except TimeoutError as error:
            raise CopyTimedOut("Redis did not answer in time") from error
        except (RedisError, OSError) as error:
            raise CopyFailed(f"Redis: {type(error).__name__}: {error}") from error

    async def close(self) -> None:
        """Close the connections."""
        await close_client(self._client)
