"""However much lies on partners' lists, what is our own finds a place; a channel on a real Valkey."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from kombu import Connection, Consumer, Exchange, Queue

from cashback_client.contract import QUEUE, RETRY_QUEUE, queue_of
from tests.support.bad_messages import settle
from worker.queue.transport.qos import PARTNERS_SHARE
from worker.queue.transport.with_kombu import holding

EDGE, MOBILE = queue_of("edge"), queue_of("mobile")
WINDOW = 32
IN_HAND = int(PARTNERS_SHARE * WINDOW)
FLOOD = 100


class Consuming:
    """A channel that takes, and the messages that it has in hand."""

    def __init__(self, connection: Connection, channel: Any) -> None:  # noqa: ANN401 - kombu has no types
        self._connection = connection
        self.channel = channel
        self.messages: list[Any] = []

    def __call__(self, message: Any) -> None:  # noqa: ANN401 - the same
        self.messages.append(message)

    def drain(self) -> None:
        """Take until nothing comes any more."""
        try:
            while True:
                self._connection.drain_events(timeout=1)
        except TimeoutError:
            return

    def in_hand(self) -> Counter[str]:
        return Counter(message.entry.queue for message in self.messages)

    def of(self, queue: str, count: int) -> list[Any]:
        """Give away so many of the messages of a queue."""
        given = [message for message in self.messages if message.entry.queue == queue][:count]
        self.messages = [message for message in self.messages if message not in given]
        return given


@contextmanager
def consuming(url: str, *partners: str) -> Iterator[Consuming]:
    weights = {QUEUE: 8, RETRY_QUEUE: 8, **dict.fromkeys(partners, 1)}
    with Connection(url, transport_options={"weights": weights}) as connection:
        channel = holding(connection).channel()
        channel.basic_qos(prefetch_count=WINDOW)
        made = Consuming(connection, channel)
        queues = [Queue(name, exchange=Exchange(""), routing_key=name) for name in weights]
        with Consumer(channel, queues, on_message=made, auto_declare=False):
            yield made


def push(client: redis.Redis, queue: str, count: int) -> None:
    client.lpush(queue, *[settle()] * count)


def test_a_partner_leaves_places_for_our_own_and_they_come_at_once(
    client: redis.Redis, redis_url: str
) -> None:
    push(client, EDGE, FLOOD)
    with consuming(redis_url, EDGE) as taken:
        taken.drain()
        assert taken.in_hand() == {EDGE: IN_HAND}

        push(client, QUEUE, 3)
        taken.drain()

        assert taken.in_hand() == {EDGE: IN_HAND, QUEUE: 3}


def test_what_was_settled_makes_room_for_more_of_the_same(client: redis.Redis, redis_url: str) -> None:
    push(client, EDGE, FLOOD)
    with consuming(redis_url, EDGE) as taken:
        taken.drain()
        first, *others = taken.of(EDGE, IN_HAND)
        first.reject(requeue=True)
        for message in others[:3]:
            message.ack()
        for message in others[3:]:
            message.set_aside()

        taken.drain()

        assert taken.in_hand() == {EDGE: IN_HAND}


def test_what_is_ours_has_the_whole_window_where_partners_have_nothing(
    client: redis.Redis, redis_url: str
) -> None:
    push(client, QUEUE, FLOOD)
    with consuming(redis_url, EDGE) as taken:
        taken.drain()

        assert taken.in_hand() == {QUEUE: WINDOW}


@pytest.mark.parametrize("own", [QUEUE, RETRY_QUEUE])
def test_partners_are_not_shut_out_by_what_is_ours(client: redis.Redis, redis_url: str, own: str) -> None:
    push(client, own, FLOOD)
    push(client, EDGE, FLOOD)
    with consuming(redis_url, EDGE) as taken:
        taken.drain()

        # By their weights, 8 and 1.
        assert taken.in_hand()[EDGE] in {3, 4}
        assert taken.in_hand().total() == WINDOW
