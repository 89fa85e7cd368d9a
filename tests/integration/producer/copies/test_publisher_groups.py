"""Many messages with one command, on a real Valkey."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
import redis

from cashback_client.contract import OWN_PRODUCER, QUEUE, SettleMessage, queue_of
from cashback_client.envelope import message_in
from deploy.local.processes import wait_until
from deploy.local.valkey import ValkeyServer
from producer.copies.errors import CopyFailed, CopyTimedOut
from producer.copies.event import ReceivedEvent
from producer.copies.publisher import MAX_GROUP_SIZE, Publisher
from producer.copies.redis_client import redis_client
from producer.shared.settings.receiver import ReceiverSettings
from tests.support.futures import end_of


def event(number: int, producer: str = OWN_PRODUCER) -> ReceivedEvent:
    message = SettleMessage(token=f"head.payload.{number}", received_at_ms=number)
    return ReceivedEvent(message, message.event_id, 1, {}, producer)


def with_publisher(
    redis_url: str, work: Callable[[Publisher], Awaitable[None]], *, timeout_seconds: float = 60
) -> None:
    settings = ReceiverSettings(
        redis_url=redis_url,
        database_url="postgresql://unused.test/x",
        betcore_url="https://unused.test",
        token_client_id="PartnerClient-1556",
    )

    async def run() -> None:
        client = redis_client(settings, timeout_seconds=timeout_seconds)
        publisher = Publisher(client, timeout_seconds=timeout_seconds, max_waiting=1000)
        try:
            await work(publisher)
        finally:
            await publisher.close()

    asyncio.run(run())


def numbers_in(redis_url: str, queue: str = QUEUE) -> list[int | None]:
    """Return the numbers of the queue's messages, the next one to be taken first."""
    with redis.Redis.from_url(redis_url) as client:
        messages = [message_in(entry) for entry in reversed(client.lrange(queue, 0, -1))]
    return [None if message is None else message.received_at_ms for message in messages]


def pushes(client: redis.Redis) -> int:
    return int(client.info("commandstats").get("cmdstat_lpush", {"calls": 0})["calls"])


def test_those_who_wait_share_a_command_up_to_the_limit_and_keep_their_order(redis_url: str) -> None:
    async def work(publisher: Publisher) -> None:
        await asyncio.gather(*(end_of(publisher.publish, event(number)) for number in range(350)))

    with redis.Redis.from_url(redis_url) as client:
        before = pushes(client)
        with_publisher(redis_url, work)
        groups = pushes(client) - before

    assert MAX_GROUP_SIZE == 100
    assert groups == 4
    assert numbers_in(redis_url) == list(range(350))


def test_each_message_goes_to_the_list_of_its_producer(redis_url: str) -> None:
    producers = [OWN_PRODUCER, "edge", "mobile"]

    async def work(publisher: Publisher) -> None:
        events = [event(number, producers[number % 3]) for number in range(90)]
        await asyncio.gather(*(end_of(publisher.publish, each) for each in events))

    with_publisher(redis_url, work)

    for place, producer in enumerate(producers):
        assert numbers_in(redis_url, queue_of(producer)) == list(range(place, 90, 3))


def test_a_producer_whose_list_takes_nothing_fails_nobody_else(redis_url: str) -> None:
    outcomes: list[object] = []

    async def work(publisher: Publisher) -> None:
        events = [event(1, "edge"), event(2), event(3, "edge"), event(4, "mobile")]
        futures = [end_of(publisher.publish, each) for each in events]
        outcomes.extend(await asyncio.gather(*futures, return_exceptions=True))

    with redis.Redis.from_url(redis_url) as client:
        client.set(queue_of("edge"), "no list")
    with_publisher(redis_url, work)

    assert [type(each) for each in outcomes] == [CopyFailed, type(None), CopyFailed, type(None)]
    assert (numbers_in(redis_url), numbers_in(redis_url, queue_of("mobile"))) == ([2], [4])


def test_a_full_redis_fails_every_member_and_stores_none(redis_url: str) -> None:
    outcomes: list[object] = []

    async def work(publisher: Publisher) -> None:
        futures = [end_of(publisher.publish, event(number)) for number in range(20)]
        outcomes.extend(await asyncio.gather(*futures, return_exceptions=True))

    with redis.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory", "1")
        try:
            with_publisher(redis_url, work)
        finally:
            client.config_set("maxmemory", "0")

    assert [type(outcome) for outcome in outcomes] == [CopyFailed] * 20
    assert numbers_in(redis_url) == []


def test_a_connection_that_is_cut_in_the_middle_of_a_group_costs_nobody_the_message(redis_url: str) -> None:
    async def work(publisher: Publisher) -> None:
        futures = [end_of(publisher.publish, event(number)) for number in range(20)]
        await asyncio.to_thread(
            wait_until, lambda: bool(blocked(client)), what="the group waits", timeout_seconds=120
        )
        for address in blocked(client):
            client.client_kill_filter(addr=address)
        client.client_unpause()
        await asyncio.gather(*futures)

    with redis.Redis.from_url(redis_url) as client:
        client.client_pause(60_000, all=False)
        try:
            with_publisher(redis_url, work, timeout_seconds=50)
        finally:
            client.client_unpause()

    assert set(numbers_in(redis_url)) == set(range(20))


def blocked(client: redis.Redis) -> list[str]:
    """Return the addresses of the clients whose command waits for the end of the pause."""
    return [each["addr"] for each in client.client_list() if "b" in each["flags"]]


def test_a_redis_that_freezes_in_the_middle_is_no_false_success(
    redis_url: str, valkey_server: ValkeyServer
) -> None:
    outcomes: list[object] = []

    async def work(publisher: Publisher) -> None:
        futures = [end_of(publisher.publish, event(number)) for number in range(200)]
        await futures[0]
        valkey_server.freeze()
        try:
            futures += [end_of(publisher.publish, event(number)) for number in range(200, 300)]
            outcomes.extend(await asyncio.gather(*futures, return_exceptions=True))
        finally:
            valkey_server.thaw()
        outcomes.extend(
            await asyncio.gather(*(end_of(publisher.publish, event(number)) for number in range(300, 400)))
        )

    with_publisher(redis_url, work, timeout_seconds=4)

    stored = set(numbers_in(redis_url))
    assert outcomes[0] is None
    assert outcomes[200:300] != [None] * 100
    assert outcomes[300:] == [None] * 100
    for number, outcome in enumerate(outcomes):
        assert (outcome is None and number in stored) or isinstance(outcome, CopyTimedOut)


def test_a_caller_that_goes_away_leaves_its_message_and_its_group_alone(redis_url: str) -> None:
    async def work(publisher: Publisher) -> None:
        futures = [end_of(publisher.publish, event(number)) for number in range(20)]
        futures[7].cancel()
        for number, future in enumerate(futures):
            if number != 7:
                await future
        with pytest.raises(asyncio.CancelledError):
            await futures[7]

    with_publisher(redis_url, work)

    assert numbers_in(redis_url) == list(range(20))


def test_each_message_of_a_group_has_its_own_delivery_tag(redis_url: str) -> None:
    async def work(publisher: Publisher) -> None:
        await asyncio.gather(*(end_of(publisher.publish, event(1)) for _ in range(50)))

    with_publisher(redis_url, work)

    with redis.Redis.from_url(redis_url) as client:
        entries = [json.loads(entry) for entry in client.lrange(QUEUE, 0, -1)]
    assert len({entry["properties"]["delivery_tag"] for entry in entries}) == 50
