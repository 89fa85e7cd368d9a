"""A primary that was replaced and goes on by itself is left; on real servers and a real sentinel."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from deploy.local.valkey import ValkeyServer
from producer.copies.primary import PrimaryWatch
from producer.copies.redis_client import close_client, redis_client
from producer.shared.settings.agreed import SharedSettings
from tests.support.sentinel import MASTER, sentinel_of, sentinel_url

KEY = "where"
LIMIT_SECONDS = 120.0


@pytest.fixture
def other(tmp_path: Path) -> Iterator[ValkeyServer]:
    """Give a second server."""
    server = ValkeyServer(tmp_path / "other")
    try:
        yield server.start()
    finally:
        server.stop()


def settings(url: str) -> SharedSettings:
    return SharedSettings(
        redis_url=url,
        redis_sentinel_master=MASTER,
        database_url="postgresql://unused.test/x",
        betcore_url="https://betcore.test",
        token_client_id="PartnerClient-1556",
    )


def name_another(sentinel_port: int, server: ValkeyServer) -> None:
    """Have the sentinel name another primary, while the old one still runs and takes everything."""
    with redis.Redis(port=sentinel_port) as sentinel:
        sentinel.sentinel_remove(MASTER)
        sentinel.sentinel_monitor(MASTER, "127.0.0.1", server.port, 1)


@pytest.mark.parametrize("watched", ["watched", "not watched"])
def test_the_new_primary_is_written_to_although_the_old_one_still_answers(
    valkey_server: ValkeyServer, other: ValkeyServer, tmp_path: Path, watched: str
) -> None:
    is_watched = watched == "watched"

    async def write_before_and_after(port: int) -> None:
        client = redis_client(settings(sentinel_url(port)), timeout_seconds=LIMIT_SECONDS)
        watch = PrimaryWatch(client, timeout_seconds=LIMIT_SECONDS)
        try:
            await client.set(KEY, "before")
            name_another(port, other)
            if is_watched:
                await watch.look()
            await client.set(KEY, "after")
        finally:
            await close_client(client)

    with sentinel_of(valkey_server, tmp_path) as port:
        asyncio.run(write_before_and_after(port))

    with redis.Redis.from_url(valkey_server.url) as old, redis.Redis.from_url(other.url) as new:
        written = old.get(KEY), new.get(KEY)
        old.delete(KEY)
    assert written == ((b"before", b"after") if is_watched else (b"after", None))


def test_without_sentinels_there_is_nothing_to_watch(redis_url: str) -> None:
    async def look() -> None:
        client = redis_client(settings(redis_url), timeout_seconds=LIMIT_SECONDS)
        try:
            await client.set(KEY, "here")
            await PrimaryWatch(client, timeout_seconds=LIMIT_SECONDS).watch()
            assert await client.get(KEY) == b"here"
        finally:
            await close_client(client)

    asyncio.run(look())
