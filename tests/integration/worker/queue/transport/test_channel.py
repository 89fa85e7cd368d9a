"""Messages are taken and acknowledged many at a time, and stay in Redis meanwhile; on a real Valkey."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import redis
from kombu import Connection, Consumer, Exchange, Queue

from cashback_client.contract import QUEUE
from tests.support.bad_messages import settle
from tests.support.held import held
from worker.queue.transport.channel import MAX_TOGETHER
from worker.queue.transport.held import RETURNED
from worker.queue.transport.lease import LeaseLost
from worker.queue.transport.with_kombu import holding

MESSAGES = 10
GARBAGE = b"\xffgarbage"


class Taken:
    """A consumer's messages in the order in which they came."""

    def __init__(self, channel: Any) -> None:  # noqa: ANN401 - kombu has no types
        self.channel = channel
        self.messages: list[Any] = []
        self.fails = False

    def __call__(self, message: Any) -> None:  # noqa: ANN401 - kombu has no types
        if self.fails:
            raise ZeroDivisionError
        self.messages.append(message)

    def ids(self) -> list[str]:
        return [message.headers.get("id") for message in self.messages]


@contextmanager
def consuming(url: str, *, prefetch: int) -> Iterator[tuple[Connection, Taken]]:
    with Connection(url) as connection:
        channel = holding(connection).channel()
        channel.basic_qos(prefetch_count=prefetch)
        taken = Taken(channel)
        queue = Queue(QUEUE, exchange=Exchange(""), routing_key=QUEUE)
        with Consumer(channel, [queue], on_message=taken, auto_declare=False):
            yield connection, taken


def push(redis_url: str, count: int) -> list[str]:
    """Put messages onto the queue and return their ids, the first of them to be taken first."""
    ids = [f"id-{number}" for number in range(count)]
    with redis.Redis.from_url(redis_url) as client:
        for each in ids:
            client.lpush(QUEUE, settle(headers={"id": each}))
    return ids


def counts(redis_url: str) -> tuple[int, int]:
    """Return how many messages wait, given back or not yet taken, and how many workers have in hand."""
    with redis.Redis.from_url(redis_url) as client:
        waiting = int(client.llen(QUEUE)) + int(client.llen(RETURNED))
        return waiting, held(client)


def drain(connection: Connection) -> None:
    """Have the channel take once; raises TimeoutError where nothing comes."""
    connection.drain_events(timeout=120)


def write_in_vain(redis_url: str, taken: Taken) -> None:
    """Have the channel tell what was acknowledged to a server that refuses what changes anything."""
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("min-replicas-to-write", 1)
        try:
            with pytest.raises(redis.exceptions.ResponseError):
                taken.channel.qos.write_acknowledged()
        finally:
            client.config_set("min-replicas-to-write", 0)


def test_one_look_takes_as_many_as_there_is_room_for_in_their_order(redis_url: str) -> None:
    ids = push(redis_url, MESSAGES)

    with consuming(redis_url, prefetch=8) as (connection, taken):
        drain(connection)

        assert taken.ids() == ids[:8]
        assert counts(redis_url) == (2, 8)


def test_one_look_takes_a_limited_number_where_the_window_has_no_limit(redis_url: str) -> None:
    push(redis_url, MAX_TOGETHER + 1)

    with consuming(redis_url, prefetch=0) as (connection, taken):
        drain(connection)

        assert len(taken.messages) == MAX_TOGETHER


def test_acknowledged_ones_make_room_at_once_and_leave_redis_together(redis_url: str) -> None:
    push(redis_url, MESSAGES)
    with consuming(redis_url, prefetch=8) as (connection, taken):
        drain(connection)
        for message in taken.messages[:5]:
            message.ack()

        assert taken.channel.qos.room() == 5
        assert counts(redis_url) == (2, 8)
        taken.channel.qos.write_acknowledged()
        assert counts(redis_url) == (2, 3)


def test_acknowledged_ones_leave_redis_with_the_next_fetch(redis_url: str) -> None:
    push(redis_url, MESSAGES)
    with consuming(redis_url, prefetch=8) as (connection, taken):
        drain(connection)
        for message in taken.messages[:5]:
            message.ack()

        drain(connection)

        assert len(taken.messages) == MESSAGES
        assert counts(redis_url) == (0, 5)


def test_a_channel_that_closes_acknowledges_first_and_hands_back_the_rest(redis_url: str) -> None:
    ids = push(redis_url, MESSAGES)
    with consuming(redis_url, prefetch=8) as (connection, taken):
        drain(connection)
        for message in taken.messages[:5]:
            message.ack()

    assert counts(redis_url) == (5, 0)
    with consuming(redis_url, prefetch=8) as (connection, taken):
        drain(connection)
        assert sorted(taken.ids()) == ids[5:]


def test_what_was_fetched_and_not_yet_given_to_anybody_is_handed_back_too(redis_url: str) -> None:
    push(redis_url, MESSAGES)

    with consuming(redis_url, prefetch=8) as (connection, taken):
        taken.fails = True
        with pytest.raises(ZeroDivisionError):
            drain(connection)

    assert counts(redis_url) == (MESSAGES, 0)


def test_acknowledgements_that_redis_refused_are_written_the_next_time(redis_url: str) -> None:
    push(redis_url, MESSAGES)
    with consuming(redis_url, prefetch=8) as (connection, taken):
        drain(connection)
        for message in taken.messages:
            message.ack()
        write_in_vain(redis_url, taken)

        taken.channel.qos.write_acknowledged()
        assert counts(redis_url) == (2, 0)


def test_a_message_goes_back_as_its_sender_wrote_it(redis_url: str) -> None:
    entry = settle(headers={"id": "one"})
    with redis.Redis.from_url(redis_url) as client:
        client.lpush(QUEUE, entry, GARBAGE)
    with consuming(redis_url, prefetch=8) as (connection, taken):
        drain(connection)
        assert len(taken.messages) == 2

    with consuming(redis_url, prefetch=8) as (connection, taken):
        drain(connection)

        again = {message.headers.get("id"): message for message in taken.messages}
        assert again[None].entry.raw == GARBAGE
        first = json.loads(entry)
        assert again["one"].headers == first["headers"]
        assert {message.entry.raw for message in taken.messages} == {entry, GARBAGE}


def test_a_server_that_has_forgotten_the_script_is_told_it_again(redis_url: str) -> None:
    push(redis_url, MESSAGES)
    with consuming(redis_url, prefetch=4) as (connection, taken):
        drain(connection)
        with redis.Redis.from_url(redis_url) as client:
            client.script_flush()
        for message in taken.messages:
            message.ack()

        while len(taken.messages) < 8:
            drain(connection)

        assert counts(redis_url) == (MESSAGES - 8, 4)


def test_what_redis_would_not_take_back_goes_back_the_next_time(redis_url: str) -> None:
    push(redis_url, 1)
    with consuming(redis_url, prefetch=8) as (connection, taken):
        drain(connection)
        taken.messages[0].reject(requeue=True)
        assert taken.channel.qos.room() == 8
        write_in_vain(redis_url, taken)

        taken.channel.qos.write_acknowledged()
        assert counts(redis_url) == (1, 0)


def test_a_redis_that_is_full_is_emptied_and_goes_on_being_asked(redis_url: str) -> None:
    push(redis_url, MESSAGES)
    with consuming(redis_url, prefetch=0) as (connection, taken), redis.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory", 1)
        try:
            while len(taken.messages) < MESSAGES:
                drain(connection)
            for message in taken.messages:
                message.ack()
            taken.channel.qos.write_acknowledged()
            assert counts(redis_url) == (0, 0)
            # Nothing comes, and it is no error: a take, a wait that is refused, a pause, and a take again.
            with pytest.raises(TimeoutError):
                connection.drain_events(timeout=1)
        finally:
            client.config_set("maxmemory", 0)
        push(redis_url, 1)
        drain(connection)


def test_what_comes_when_no_queue_is_consumed_any_more_goes_back(redis_url: str) -> None:
    with consuming(redis_url, prefetch=8) as (connection, taken):
        while not taken.channel._is_waiting or not taken.channel._in_poll:  # noqa: SLF001 - the moment it is about
            with suppress(TimeoutError):
                connection.drain_events(timeout=0.01)
        push(redis_url, 1)
        for tag in list(taken.channel._consumers):  # noqa: SLF001 - kombu's
            taken.channel.basic_cancel(tag)

        with pytest.raises(LeaseLost):
            drain(connection)

    assert counts(redis_url) == (1, 0)
