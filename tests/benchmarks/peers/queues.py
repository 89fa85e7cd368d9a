"""Events as the receiver leaves them: a receipt in PostgreSQL and an envelope in Redis, of one moment."""

import itertools
import json
import time
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha512
from typing import Any, Final, TypeVar

import psycopg
import redis

from cashback_client.contract import QUEUE, SettleMessage, read_data
from cashback_client.envelope import EntryWriter
from producer.copies.receipts.recording import NEXT_ATTEMPT_SECONDS
from producer.protocol.asked import Asked, read_asked
from tests.benchmarks.rig import Rig
from tests.support.held import held
from worker.queue.summary import describe

Value = TypeVar("Value")

DEADLINE_SECONDS: Final = 30.0
RESERVE_SECONDS: Final = 5.0
# Above those of all events that are settled.
_BEHIND_CASHBACK_ID: Final = 1_000_000_001
_ORIGIN: Final = "receiver1@benchmark"
_TOGETHER: Final = 500
_REDIS_SECONDS: Final = 60.0
# The receiver's own function, all in one commit.
_RECORD: Final = "SELECT count(*) FROM record_receipts(%s, %s, %s, %s, %s, %s, %s, NULL, %s, %s, %s)"


def received_now(tokens: Iterable[str]) -> list[SettleMessage]:
    """Return the tokens' messages, all received at this moment."""
    now_ms = time.time_ns() // 1_000_000
    return [SettleMessage(token=token, received_at_ms=now_ms) for token in tokens]


def record_receipts(
    database_url: str,
    messages: Sequence[SettleMessage],
    *,
    first_cashback_id: int,
    deadline_seconds: float = DEADLINE_SECONDS,
) -> None:
    """Record the receipts of messages of one moment, whose cashbacks have consecutive ids."""
    if not messages:
        return
    last = first_cashback_id + len(messages)
    asked = [_asked_by(message.token) for message in messages]
    with psycopg.connect(database_url) as connection:
        connection.execute(
            _RECORD,
            (
                [message.event_id for message in messages],
                [message.token for message in messages],
                list(range(first_cashback_id, last)),
                [message.received_at_ms for message in messages],
                deadline_seconds - RESERVE_SECONDS,
                deadline_seconds,
                NEXT_ATTEMPT_SECONDS,
                [each.user_id for each in asked],
                [each.transaction_type for each in asked],
                [each.amount for each in asked],
            ),
        )


def _asked_by(token: str) -> Asked:
    """Return what a token of our own asks for."""
    payload = token.split(".")[1]
    claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return read_asked(read_data(claims["data"]))


def receiver_entries(messages: Iterable[SettleMessage]) -> Iterator[bytes]:
    """Yield the queue's entries for messages, as the receiver writes them."""
    writer = EntryWriter(origin=_ORIGIN, sender=str(uuid.uuid4()))
    for message in messages:
        summary = describe({"token": message.token})
        yield writer.entry(message, event_id=message.event_id, summary=summary)


def push(redis_url: str, entries: Iterable[bytes], *, queue: str = QUEUE) -> None:
    """Put entries onto a queue of Celery's, the first of them to be taken first."""
    with redis.Redis.from_url(redis_url, socket_timeout=_REDIS_SECONDS) as client:
        for group in grouped(entries, _TOGETHER):
            client.lpush(queue, *group)


def length(redis_url: str, queue: str) -> int:
    """Return how many entries wait in a queue or are in a worker's hands, Celery's or ours."""
    with redis.Redis.from_url(redis_url, socket_timeout=_REDIS_SECONDS) as client:
        waiting: Any = client.llen(queue)
        unacknowledged: Any = client.hlen("unacked")
        in_hand = held(client)
    return int(waiting) + int(unacknowledged) + in_hand


def grouped(values: Iterable[Value], size: int) -> Iterator[list[Value]]:
    """Yield the values in lists of `size`, the last one shorter."""
    waiting = iter(values)
    while group := list(itertools.islice(waiting, size)):
        yield group


def put_behind(rig: Rig, *, events: int, like: str, deadline_seconds: float) -> None:
    """Put `events` more onto the queue, received now, whose tokens are `like` this one but for the signature.

    They are younger than all that is there, so nobody settles them before those.
    """
    if events == 0:
        return
    messages = received_now(itertools.islice(unsigned(like), events))
    record_receipts(
        rig.database_url, messages, first_cashback_id=_BEHIND_CASHBACK_ID, deadline_seconds=deadline_seconds
    )
    push(rig.redis_url, receiver_entries(messages))
    with psycopg.connect(rig.database_url, autocommit=True) as connection:
        # What would otherwise happen in the middle of what is measured.
        connection.execute("VACUUM ANALYZE receipts")
        connection.execute("CHECKPOINT")


def unsigned(token: str) -> Iterator[str]:
    """Yield tokens that differ from `token`, and from each other, in the signature alone."""
    signed, _, signature = token.rpartition(".")
    for number in itertools.count():
        digest = urlsafe_b64encode(sha512(str(number).encode()).digest()).decode().rstrip("=")
        yield f"{signed}.{digest}{signature[len(digest) :]}"
