"""The sweeper's view of the queue, on a real Valkey."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import redis
from celery import Celery

from deploy.local.ports import free_port
from deploy.local.valkey import ValkeyServer
from producer.client.contract import QUEUE, RETRY_QUEUE, SettleMessage
from producer.copies.publisher import envelope
from worker.app import celery_configuration
from worker.recovery.broker import BrokerUnavailable, CeleryBroker
from worker.settings import WorkerSettings

MESSAGE = SettleMessage(token="a.b.c", received_at_ms=1_795_386_237_585)


class Clock:
    """A monotonic clock that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def app_on(redis_url: str) -> Celery:
    settings = WorkerSettings(
        redis_url=redis_url,
        database_url="postgresql://db.test/x",
        betcore_url="https://betcore.test",
        bearer_token="x",
    )
    app = Celery("broker-test", set_as_current=False)
    app.conf.update(celery_configuration(settings))
    return app


@pytest.fixture
def broker(redis_url: str, clock: Clock) -> Iterator[CeleryBroker]:
    broker = CeleryBroker(app_on(redis_url), timeout_seconds=60, monotonic=clock)
    yield broker
    broker.close()


def put(redis_url: str, message: SettleMessage) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.lpush(
            QUEUE,
            json.dumps(
                envelope(message, summary="", origin="test", delivery_tag=str(message.received_at_ms))
            ),
        )


def test_an_empty_queue_says_that_nothing_waits(broker: CeleryBroker) -> None:
    assert broker.waiting_since() is None


def test_the_head_of_the_queue_is_what_was_put_there_first(broker: CeleryBroker, redis_url: str) -> None:
    put(redis_url, MESSAGE)
    put(redis_url, MESSAGE.model_copy(update={"received_at_ms": MESSAGE.received_at_ms + 5_000}))

    assert broker.waiting_since() == MESSAGE.received_at


def test_a_head_that_is_no_message_counts_as_old_so_that_nothing_is_taken_for_lost(
    broker: CeleryBroker, redis_url: str
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.lpush(QUEUE, b"garbage")

    assert broker.waiting_since() == datetime.fromtimestamp(0, tz=UTC)


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
    broker = CeleryBroker(app_on(nowhere), timeout_seconds=60, monotonic=clock)
    with pytest.raises(BrokerUnavailable, match="Redis: "):
        broker.waiting_since()
    # when it is asked again at once, it does not even try,
    with pytest.raises(BrokerUnavailable, match="a moment ago"):
        broker.publish(MESSAGE)
    # and after a while it tries.
    clock.now += 60
    with pytest.raises(BrokerUnavailable, match="Redis: "):
        broker.waiting_since()
    broker.close()


def test_a_server_that_was_restarted_is_used_again(
    broker: CeleryBroker, clock: Clock, valkey_server: ValkeyServer
) -> None:
    assert broker.waiting_since() is None
    valkey_server.kill()
    try:
        with pytest.raises(BrokerUnavailable):
            broker.waiting_since()
    finally:
        valkey_server.start()
    clock.now += 60

    assert broker.waiting_since() is None
