"""Whatever a writer in Redis says there, the receiver takes honest makes, and they are settled; real servers.

The receiver reads nothing there: what it knows of a backlog is in PostgreSQL. So each lie is one to the
workers, who could make it true by being held up.
"""

import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import psycopg
import pytest
import redis

from cashback_client.contract import MAX_RECEIVED_AT_MS, QUEUE, RETRY_QUEUE
from deploy.local.postgres import PostgresServer
from deploy.local.valkey import ValkeyServer
from tests.support import bad_messages
from tests.support.bad_messages import Bench, settle, token
from tests.support.betcore import cashback
from tests.support.books import SOUND, audit, database_of
from tests.support.receiver import RunningReceiver, running_receiver
from worker.queue.transport.held import GONE, HELD, LANDING, LEASES, RETURNED
from worker.recovery.witness import COMMITS_KEY, LOST_KEY

MAKES = 10
LIES_PER_MAKE = 30
# The longest wait that a new event is taken for is half of the time to the cut-off.
DEADLINE_SECONDS = 120
STRANGER = f"stranger:1:ab@{QUEUE}"
_numbers = itertools.count(1)

Lie = Callable[[redis.Redis, int], None]


@dataclass(frozen=True)
class Service:
    """A receiver and a worker."""

    receiver: RunningReceiver
    bench: Bench


@pytest.fixture(scope="module")
def service(
    valkey_server: ValkeyServer,
    postgres_server: PostgresServer,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    """One receiver and one worker for all tests of this module: no lie may harm them for long."""
    with redis.Redis.from_url(valkey_server.url) as client:
        client.flushall()
    with (
        database_of(postgres_server, migrated_template) as database_url,
        bad_messages.bench(valkey_server.url, database_url, tmp_path_factory.mktemp("lies")) as bench,
        running_receiver(
            redis_url=valkey_server.url, database_url=database_url, deadline_seconds=DEADLINE_SECONDS
        ) as receiver,
    ):
        bench.start_worker(deadline_seconds=str(DEADLINE_SECONDS))
        yield Service(receiver, bench)


def stamped(received_at_ms: object, *, made: str = "a.b.c") -> bytes:
    """Return an entry that names this time."""
    arguments = {"version": 1, "token": made, "received_at_ms": received_at_ms}
    return settle(json.dumps([[], arguments, None]).encode())


STAMPS: dict[str, object] = {
    "the beginning of time": 0,
    "an hour ago": int(time.time() * 1000) - 3_600_000,
    "just before the deadline": int(time.time() * 1000) - DEADLINE_SECONDS * 999,
    "tomorrow": int(time.time() * 1000) + 86_400_000,
    "the end of time": MAX_RECEIVED_AT_MS - 1,
    "after the end of time": 10**400,
    "before its beginning": -1,
    "no number": float("nan"),
    "without end": float("inf"),
    "a text": "soon",
    "a list": [[]],
}


@cache
def strange_stamps() -> list[bytes]:
    """Return entries with all stamps, whose tokens are none or are signed with a key that nobody knows."""
    unknown = token(key=2)
    entries = [stamped(stamp, made=made) for stamp in STAMPS.values() for made in ("a.b.c", unknown)]
    return list(itertools.islice(itertools.cycle(entries), LIES_PER_MAKE))


def at_head(*queues: str) -> Lie:
    """Put entries with all stamps before all others, and behind them."""

    def lie(client: redis.Redis, _number: int) -> None:
        for queue in queues:
            given_back = b"2 cashback\n" if queue == RETURNED else b""
            entries = [given_back + entry for entry in strange_stamps()]
            client.rpush(queue, *entries)
            client.lpush(queue, *entries)

    return lie


def of_another_type(*keys: str) -> Lie:
    """Put a text in the place of what is there."""

    def lie(client: redis.Redis, _number: int) -> None:
        for key in keys:
            client.set(key, "x")

    return lie


def without(*patterns: str) -> Lie:
    """Take away what is there."""

    def lie(client: redis.Redis, _number: int) -> None:
        for key in [key for pattern in patterns for key in client.scan_iter(pattern)]:
            client.delete(key)

    return lie


def strange_workers(client: redis.Redis, number: int) -> None:
    """Name workers that never were, whose leases end at all times, and what they hold."""
    times: list[str | float] = ["-inf", "-1e300", 0, time.time() * 1000 + 3_000, 1e15, "1e300", "inf"]
    owners = {f"{number}.{place}.{STRANGER}": ends for place, ends in enumerate(times)}
    client.zadd(LEASES, {**owners, "": 0, "no name at all": 0, "x" * 10_000: 0})
    client.zadd(GONE, {"": 0, f"9999999999999 {STRANGER}": 0, "nan nan": "inf"})
    for place, owner in enumerate(owners):
        if place % 2:
            client.set(HELD + owner, "x")
            client.set(LANDING + owner, "x")
        else:
            client.hset(HELD + owner, mapping={"": b"", "1 999999999 x\ny": stamped(0), "nan nan nan": b"{"})
            client.rpush(LANDING + owner, b"", stamped(0))


def claims_of_others(client: redis.Redis, number: int) -> None:
    """Say of messages that wait that a stranger has them, and that they are about something else."""
    client.zadd(LEASES, {STRANGER: 1e15})
    for place, entry in enumerate(client.lrange(QUEUE, -10, -1)):
        name = json.loads(entry)["headers"]["id"]
        client.hset(HELD + STRANGER, f"{number}.{place}", entry)
        client.rpush(QUEUE, settle([[], {"token": token()}, None], headers={"id": name}))
        late = {"id": name, "eta": "2999-01-01T00:00:00+00:00"}
        client.lpush(RETRY_QUEUE, settle([[], {}, None], headers=late))


def what_kombu_keeps(client: redis.Redis, _number: int) -> None:
    """Lie in the keys of kombu's that could lead a message elsewhere, or have it back."""
    for name in ("cashback", "cashback.retry", "celeryev", "celery.pidbox", "reply.celery.pidbox"):
        client.delete(f"_kombu.binding.{name}")
        client.sadd(f"_kombu.binding.{name}", "cashback\x06\x16\x06\x16nowhere", "x", b"\xff")
    client.hset("unacked", "tag", json.dumps([json.loads(stamped(0)), "", QUEUE]))
    client.zadd("unacked_index", {"tag": 0})
    client.set("unacked_mutex", "x")


def commits(client: redis.Redis, number: int) -> None:
    """Put commits on record that never were."""
    for key in (COMMITS_KEY, LOST_KEY):
        client.zadd(key, {f"{number}:1:x:1": "inf", "": 0, "1:" * 60: "-inf", f"{10**30}:1:1:1": 1e300})


LIES: dict[str, Lie] = {
    "stamps on the queue": at_head(QUEUE),
    "stamps on the other lists": at_head(RETRY_QUEUE, RETURNED),
    "strange workers": strange_workers,
    "claims of others": claims_of_others,
    "what kombu keeps": what_kombu_keeps,
    "commits": commits,
    "no messages": without(QUEUE, RETRY_QUEUE, RETURNED),
    "no leases": without(LEASES, GONE),
    "nothing held": without(f"{HELD}*", f"{LANDING}*"),
    "nothing at all": without("*"),
    "a text for the queue": of_another_type(QUEUE),
    "a text for the other lists": of_another_type(RETRY_QUEUE, RETURNED),
    "a text for the leases": of_another_type(LEASES, GONE),
    "a text for the commits": of_another_type(COMMITS_KEY, LOST_KEY),
    "a text for kombu's keys": of_another_type(
        "_kombu.binding.reply.celery.pidbox", "unacked_index", "unacked"
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_a_lie_refuses_no_honest_make_and_each_is_credited(service: Service, name: str) -> None:
    receiver, bench = service.receiver, service.bench
    with redis.Redis.from_url(bench.redis_url) as client:
        made = list(itertools.islice(_numbers, MAKES))
        for number in made:
            LIES[name](client, number)

            reply = receiver.make_event(cashback(number))

            assert (reply.status_code, reply.json()["ErrorCode"]) == (200, 200), reply.text
        LIES[name](client, next(_numbers))
        for number in made:
            bench.wait_for_success(number)
        client.flushall()


def test_after_all_of_these_the_processes_live_and_the_books_are_sound(service: Service) -> None:
    assert service.bench.workers[0].is_running
    assert service.receiver.metric("cashback_makes_total", outcome="unavailable", reason="backlog") == 0
    with psycopg.connect(service.bench.database_url) as connection:
        assert audit(connection) == SOUND
