"""A queue that nobody empties is told from one that is long, and its events are settled all the same."""

import asyncio
import time
from collections.abc import Iterator

import pytest
import redis
from structlog.testing import capture_logs

from cashback_client.contract import QUEUE, RETRY_QUEUE, SettleMessage
from producer.copies.event import ReceivedEvent
from producer.copies.receipts.recording import Receipts
from producer.receiver.backlog import STANDSTILL_LOOKS, Backlog
from tests.support.holder_bench import Worker, push
from tests.support.sent_on import WORKERS_KEYS, Clock, Recovery, app_on, recovery
from worker.queue.transport.held import RETURNED
from worker.recovery.broker import CeleryBroker
from worker.recovery.queue_watch import ABLE_SECONDS, STILL_SECONDS, Consumption, QueueWatch

QUEUES = (QUEUE, RETRY_QUEUE, RETURNED)


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def consumption(clock: Clock) -> Consumption:
    return Consumption(monotonic=clock)


@pytest.fixture
def watch(redis_url: str, clock: Clock, consumption: Consumption) -> Iterator[QueueWatch]:
    broker = CeleryBroker(app_on(redis_url), keys=WORKERS_KEYS, timeout_seconds=60, monotonic=clock)
    yield QueueWatch(broker, consumption, queues=QUEUES, monotonic=clock)
    broker.close()


@pytest.mark.parametrize("queue", QUEUES)
def test_what_lies_there_while_nobody_can_take_it_is_left_alone(
    watch: QueueWatch, client: redis.Redis, clock: Clock, queue: str
) -> None:
    push(client, b"one", b"two", queue=queue)
    clock.now += ABLE_SECONDS

    assert not watch.nobody_empties()
    clock.now += STILL_SECONDS / 2
    assert not watch.nobody_empties()
    clock.now += STILL_SECONDS / 2
    assert watch.nobody_empties()


def test_a_queue_is_long_and_not_left_alone_while_this_worker_can_take_from_it(
    watch: QueueWatch, client: redis.Redis, clock: Clock, consumption: Consumption
) -> None:
    push(client, b"one", queue=QUEUE)

    for _ in range(10):
        clock.now += STILL_SECONDS
        consumption.able()
        assert not watch.nobody_empties()


def test_a_queue_that_another_worker_empties_is_not_left_alone(
    watch: QueueWatch, client: redis.Redis, clock: Clock
) -> None:
    push(client, *(b"%d" % number for number in range(20)), queue=QUEUE)
    other = Worker(client, QUEUE)
    clock.now += ABLE_SECONDS

    for _ in range(10):
        assert not watch.nobody_empties()
        other.take(1)
        clock.now += STILL_SECONDS


def test_an_empty_queue_is_not_left_alone(watch: QueueWatch, clock: Clock) -> None:
    for _ in range(5):
        clock.now += STILL_SECONDS
        assert not watch.nobody_empties()


def test_what_strangers_put_at_the_head_hides_nothing(
    watch: QueueWatch, client: redis.Redis, clock: Clock
) -> None:
    push(client, b"one", queue=QUEUE)
    clock.now += ABLE_SECONDS
    watch.nobody_empties()

    for number in range(8):
        client.rpush(QUEUE, b"before it %d" % number)
        clock.now += STILL_SECONDS / 8
        assert watch.nobody_empties() == (number == 7)


def test_once_this_worker_can_take_again_all_begins_anew(
    watch: QueueWatch, client: redis.Redis, clock: Clock, consumption: Consumption
) -> None:
    push(client, b"one", queue=QUEUE)
    clock.now += ABLE_SECONDS
    watch.nobody_empties()
    clock.now += STILL_SECONDS
    assert watch.nobody_empties()

    consumption.able()
    assert not watch.nobody_empties()

    clock.now += ABLE_SECONDS
    assert not watch.nobody_empties()


def test_events_whose_queue_nobody_empties_are_settled_straight_from_their_receipts(
    database_url: str, redis_url: str, clock: Clock
) -> None:
    with recovery(database_url, redis_url, clock=clock) as at, capture_logs() as logs:
        # Given an event that waits in the queue, and one whose answer was sent on,
        waiting, settled = at.received(1), at.settled(2)
        at.wait(waiting)
        at.broker.publish(settled)
        clock.now += ABLE_SECONDS
        at.sweeper.sweep()
        assert not at.at.accepts()

        # when nobody takes either of them for some seconds,
        clock.now += STILL_SECONDS
        at.all_overdue()
        at.sweeper.sweep()

        # then both are answered,
        at.at.await_accepts(2)
        # and nothing more is put onto the queues.
        assert at.messages() == {waiting.event_id: 1, settled.event_id: 1}
    told = [line for line in logs if line["event"] == "sweep_failed"]
    assert [(line["job"], line["reason"]) for line in told] == [("queue", "nobody_empties_it")]


def test_the_receiver_refuses_no_make_for_a_queue_that_is_bypassed(
    database_url: str, redis_url: str, clock: Clock
) -> None:
    async def looks(at: Recovery, messages: list[SettleMessage]) -> list[bool]:
        receipts = Receipts(
            database_url,
            pool_size=2,
            max_waiting=10,
            timeout_seconds=60,
            cutoff_seconds=600,
            deadline_seconds=900,
        )
        await receipts.open()
        backlog = Backlog(
            receipts, longest_wait_seconds=0.01, cutoff_seconds=600, timeout_seconds=60, clock=time.time
        )
        for message in messages:
            backlog.taken(ReceivedEvent(message, message.event_id, 1, {}))
        is_too_long = []
        for _ in range(STANDSTILL_LOOKS):
            await backlog.look()
        is_too_long.append(backlog.is_too_long())
        await asyncio.to_thread(at.sweeper.sweep)
        await backlog.look()
        is_too_long.append(backlog.is_too_long())
        await receipts.close()
        return is_too_long

    with recovery(database_url, redis_url, clock=clock) as at:
        # Given events that have waited for too long in a queue that nobody empties,
        messages = [at.received(number) for number in range(1, 21)]
        for message in messages:
            at.wait(message)
        clock.now += ABLE_SECONDS
        at.sweeper.sweep()
        clock.now += STILL_SECONDS
        at.all_overdue()

        # then makes are taken again as soon as they are settled, though all of them still lie there.
        assert asyncio.run(looks(at, messages)) == [True, False]
        assert at.client.llen(QUEUE) == len(messages)
