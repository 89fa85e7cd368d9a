"""A look at Redis that is cut in its transaction begins anew: its commands are never run by themselves."""

import asyncio
from collections.abc import Generator, Sequence
from typing import Any

import redis

from cashback_client.contract import QUEUE
from producer.copies.redis_client import answered, close_client, redis_client
from producer.shared.preconditions.redis import RECEIVER_NEEDS, Command, Tried, tried
from producer.shared.settings.receiver import ReceiverSettings


def test_a_connection_that_is_cut_between_both_steps_runs_nothing(redis_url: str) -> None:
    settings = ReceiverSettings(
        redis_url=redis_url,
        database_url="postgresql://db.test/x",
        betcore_url="https://betcore.test",
        token_client_id="PartnerClient-1556",
    )
    cuts = list[str]()

    async def look() -> Tried:
        client = redis_client(settings, timeout_seconds=60)
        pool: Any = client.connection_pool

        def cut_once() -> Generator[Sequence[Command], Sequence[object], Tried]:
            begun = tried(RECEIVER_NEEDS)
            replies = yield next(begun)
            if not cuts:
                cuts.append("cut")
                # As the pool does it where the primary was replaced, but at once.
                for connection in pool._in_use_connections:  # noqa: SLF001 - no other way in a moment
                    connection._close()  # noqa: SLF001 - as above
            commands = begun.send(replies)
            replies = yield commands
            try:
                begun.send(replies)
            except StopIteration as end:
                found: Tried = end.value
                return found
            raise AssertionError

        try:
            return await answered(client, cut_once)
        finally:
            await close_client(client)

    found = asyncio.run(look())

    assert cuts == ["cut"]
    assert (found.not_tried, found.error) == (None, None)
    with redis.Redis.from_url(redis_url) as client:
        assert client.llen(QUEUE) == 0
