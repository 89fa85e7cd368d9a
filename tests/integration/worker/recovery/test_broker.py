"""The sweeper's view of the queue, on a real Valkey."""

import json
from collections.abc import Iterator

import pytest
import redis

from cashback_client.contract import OWN_PRODUCER, QUEUE, RETRY_QUEUE, SettleMessage
from cashback_client.envelope import MAX_ENTRY_BYTES
from deploy.local.ports import free_port
from deploy.local.valkey import ValkeyServer
from producer.copies.publisher import envelope
from tests.support.holder_bench import OTHER, Worker, push
from tests.support.sent_on import WORKERS_KEYS, app_on
from worker.queue.entry import read_entry
from worker.queue.transport.held import HELD, LEASES, RETURNED
from worker.recovery import broker as broker_module
from worker.recovery.broker import BrokerUnavailable, CeleryBroker, Found

MESSAGE = SettleMessage(token="a.b.c", received_at_ms=1_795_386_237_585)


class Clock:
    """A monotonic clock that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def broker_on(redis_url: str, clock: Clock) -> CeleryBroker:
    return CeleryBroker(app_on(redis_url), keys=WORKERS_KEYS, timeout_seconds=60, monotonic=clock)


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as made:
        yield made


@pytest.fixture
def broker(redis_url: str, clock: Clock) -> Iterator[CeleryBroker]:
    broker = broker_on(redis_url, clock)
    yield broker
    broker.close()


def message(number: int) -> SettleMessage:
    return SettleMessage(token=f"a.{number}.c", received_at_ms=MESSAGE.received_at_ms + number)


def entry(message: SettleMessage) -> bytes:
    made = envelope(message, summary="", origin="test", delivery_tag=str(message.received_at_ms))
    return json.dumps(made).encode()


def test_an_empty_queue_says_that_nothing_waits(broker: CeleryBroker) -> None:
    assert broker.at_head() is None


def test_the_head_of_the_queue_is_what_was_put_there_first(broker: CeleryBroker, client: redis.Redis) -> None:
    push(client, *(entry(message(number)) for number in range(30)), queue=QUEUE)

    head = broker.at_head()

    assert head is not None
    assert head[:3] == [message(number).event_id for number in range(3)]
    assert len(head) < 30


def test_what_is_no_message_at_the_head_hides_none_behind_it(
    broker: CeleryBroker, client: redis.Redis
) -> None:
    push(client, b"garbage", b"{}", entry(MESSAGE), queue=QUEUE)

    assert broker.at_head() == [MESSAGE.event_id]


def test_of_what_is_too_long_for_a_message_at_the_head_nothing_is_read(
    broker: CeleryBroker, client: redis.Redis
) -> None:
    longer = entry(MESSAGE)[:-1] + b" " * MAX_ENTRY_BYTES + b"}"
    push(client, longer, entry(message(1)), queue=QUEUE)

    assert broker.at_head() == [message(1).event_id]


def test_more_workers_than_there_can_be_are_not_all_looked_at(
    broker: CeleryBroker, client: redis.Redis
) -> None:
    client.zadd(LEASES, {f"stranger-{number:04}@{QUEUE}": 10**13 for number in range(1_001)})
    client.hset(f"{HELD}stranger-1000@{QUEUE}", f"1 0 {QUEUE}", entry(MESSAGE))

    assert broker.find([MESSAGE.event_id]) == Found(held=frozenset(), queued=frozenset(), is_complete=False)


def test_a_queue_of_what_is_no_message_is_not_empty(broker: CeleryBroker, client: redis.Redis) -> None:
    push(client, *([b"garbage"] * 30), queue=QUEUE)

    assert broker.at_head() == []


def test_messages_are_found_wherever_they_are_on_their_way(broker: CeleryBroker, client: redis.Redis) -> None:
    # Given a message that was sent on, one that a worker has in hand, one of a worker that is gone, one that
    # was given back, one among the fresh ones, and one that is nowhere,
    sent, taken, left, returned, fresh, nowhere = (message(number) for number in range(6))
    alive, dead = Worker(client, OTHER), Worker(client, OTHER)
    push(client, entry(left), queue=OTHER)
    dead.take()
    dead.dies()
    push(client, entry(taken), queue=OTHER)
    alive.take()
    broker.publish(sent)
    client.rpush(RETURNED, b"0 cashback\n" + entry(returned))
    push(client, entry(fresh), queue=QUEUE)

    found = broker.find([each.event_id for each in (sent, taken, left, returned, fresh, nowhere)])

    assert found == Found(
        held=frozenset({taken.event_id, left.event_id}),
        queued=frozenset({sent.event_id, returned.event_id}),
        is_complete=True,
    )


@pytest.mark.parametrize("place", ["on the list", "in hand"])
def test_a_look_is_bounded_and_says_so(
    broker: CeleryBroker, client: redis.Redis, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(broker_module, "_MAX_LOOKED_AT", 250)
    worker = Worker(client, OTHER)
    queue = RETRY_QUEUE if place == "on the list" else OTHER
    for first in range(0, 1_000, 500):
        push(client, *(entry(message(number)) for number in range(first, first + 500)), queue=queue)
    worker.take(1_000)

    few = broker.find([message(5_000).event_id])
    assert not few.is_complete

    # Who is found is found, also where the look did not come to its end.
    monkeypatch.setattr(broker_module, "_MAX_LOOKED_AT", 2_000)
    many = [message(number).event_id for number in range(0, 1_000, 7)]
    found = broker.find(many)
    assert found.is_complete
    assert found.held | found.queued == set(many)


def test_nothing_is_found_where_nothing_is(broker: CeleryBroker) -> None:
    assert broker.find([MESSAGE.event_id]) == Found(held=frozenset(), queued=frozenset(), is_complete=True)


@pytest.mark.parametrize("junk", [b"", b'"id": "', b'{"headers": {"id": "' + b"x" * 36, b"\xff\x00"])
def test_what_is_no_message_is_nobodys(broker: CeleryBroker, client: redis.Redis, junk: bytes) -> None:
    push(client, junk, entry(MESSAGE), junk, queue=RETRY_QUEUE)

    assert broker.find([MESSAGE.event_id, message(1).event_id]) == Found(
        held=frozenset(), queued=frozenset({MESSAGE.event_id}), is_complete=True
    )


def test_what_is_published_stands_in_the_retry_queue_under_the_id_of_the_event(
    broker: CeleryBroker, redis_url: str
) -> None:
    broker.publish(MESSAGE)

    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        (entry,) = client.lrange(RETRY_QUEUE, 0, -1)
        assert client.llen(QUEUE) == 0
    headers = json.loads(entry)["headers"]
    assert headers["id"] == str(MESSAGE.event_id)
    assert MESSAGE.token not in json.dumps(headers)


@pytest.mark.parametrize("producer", [OWN_PRODUCER, "edge"])
def test_what_is_published_says_whose_event_it_is(
    broker: CeleryBroker, client: redis.Redis, producer: str
) -> None:
    broker.publish(MESSAGE, producer=producer)

    worker = Worker(client, RETRY_QUEUE)
    assert [read_entry(taken, worker.holder).producer for taken in worker.take()] == [producer]


def test_a_flushed_server_loses_nothing_that_is_published_after_it(
    broker: CeleryBroker, redis_url: str
) -> None:
    broker.publish(MESSAGE)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()

    broker.publish(MESSAGE)

    with redis.Redis.from_url(redis_url) as client:
        assert client.llen(RETRY_QUEUE) == 1


def test_a_server_that_is_away_is_not_asked_again_for_a_while(clock: Clock) -> None:
    # Given a broker whose server is not there yet,
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    broker = broker_on(nowhere, clock)
    with pytest.raises(BrokerUnavailable, match="Redis: "):
        broker.at_head()
    # when it is asked again at once, it does not even try,
    with pytest.raises(BrokerUnavailable, match="a moment ago"):
        broker.publish(MESSAGE)
    # and after a while it tries.
    clock.now += 60
    with pytest.raises(BrokerUnavailable, match="Redis: "):
        broker.at_head()
    broker.close()


def test_a_server_that_was_restarted_is_used_again(
    broker: CeleryBroker, clock: Clock, valkey_server: ValkeyServer
) -> None:
    assert broker.at_head() is None
    valkey_server.kill()
    try:
        with pytest.raises(BrokerUnavailable):
            broker.at_head()
    finally:
        valkey_server.start()
    clock.now += 60

    assert broker.at_head() is None
