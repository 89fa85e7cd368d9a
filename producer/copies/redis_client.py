"""The receiver's Redis client, from the URL that Celery reads too."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.connection import Connection, ConnectionPool, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import RedisError

from producer.shared.preconditions.checks import answered_by
from producer.shared.preconditions.redis import RECEIVER_NEEDS, Command, of_error, redis_check
from producer.shared.preconditions.verdict import Verdict
from producer.shared.redis_server import RedisServer
from producer.shared.settings import RedisSettings

# A publish takes one round trip, so few connections carry many publishes.
MAX_CONNECTIONS: Final = 32

_CHECK_SECONDS: Final = 1.0


def redis_client(settings: RedisSettings, *, timeout_seconds: float) -> "Redis":
    """Return a client for the server that the settings name; nothing connects yet.

    `timeout_seconds` bounds one connect and one reply each.
    """
    server = settings.redis_server
    options = _connection_options(server, timeout_seconds)
    tls = server.tls if server.tls is not None else {}
    if server.is_found_by_sentinels:
        sentinel = Sentinel(  # type: ignore[no-untyped-call] # redis-py left this constructor untyped
            server.hosts,
            sentinel_kwargs=_sentinel_options(settings, timeout_seconds),
            **options,
            ssl=server.tls is not None,
            **tls,
        )
        client: Redis = sentinel.master_for(settings.redis_sentinel_master, max_connections=MAX_CONNECTIONS)
        return client
    [(host, port)] = server.hosts
    pool = ConnectionPool(
        connection_class=Connection if server.tls is None else SSLConnection,
        max_connections=MAX_CONNECTIONS,
        host=host,
        port=port,
        **options,
        **tls,
    )
    return Redis.from_pool(pool)


async def replies_to(client: "Redis", commands: Sequence[Command]) -> list[object]:
    """Send commands together and return the reply to each, an error where it is one."""
    async with client.pipeline(transaction=False) as pipeline:
        for command in commands:
            pipeline.execute_command(*command)
        replies: list[object] = await pipeline.execute(raise_on_error=False)
        return replies


def check_redis(settings: RedisSettings) -> list[Verdict]:
    """Ask Redis, through a connection of its own, what the receiver must find; return what is wrong.

    For a thread without an event loop. Raises SettingsError.
    """
    client = redis_client(settings, timeout_seconds=_CHECK_SECONDS)
    with asyncio.Runner() as runner:
        try:
            return answered_by(
                redis_check(RECEIVER_NEEDS, needs_multi=False),
                lambda commands: runner.run(replies_to(client, commands)),
            )
        except (RedisError, OSError) as error:
            return [of_error(error)]
        finally:
            runner.run(close_client(client))


async def close_client(client: "Redis") -> None:
    """Close a client of `redis_client`, with the connections to Sentinels that it holds."""
    await client.aclose()
    pool = client.connection_pool
    if isinstance(pool, SentinelConnectionPool):
        await pool.sentinel_manager.aclose()


def _connection_options(server: RedisServer, timeout_seconds: float) -> dict[str, Any]:
    return {
        "db": server.database,
        "username": server.username,
        "password": server.password,
        # The newer protocol only adds greetings to each connect.
        "protocol": 2,
        "driver_info": None,
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "socket_keepalive": True,
        "retry": Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.2), retries=3),
    }


def _sentinel_options(settings: RedisSettings, timeout_seconds: float) -> dict[str, Any]:
    return {
        # Several sentinels are asked in turn, so the first one that is away must not use up the whole time.
        **settings.sentinel_options(timeout_seconds=timeout_seconds / 4),
        "protocol": 2,
        "driver_info": None,
        "retry": Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.2), retries=0),
    }
