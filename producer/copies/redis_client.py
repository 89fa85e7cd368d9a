"""The receiver's Redis client, from the URL that Celery reads too."""

from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.connection import Connection, ConnectionPool, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import ExponentialWithJitterBackoff

from producer.shared.redis_server import RedisServer
from producer.shared.settings import RedisSettings

# A publish takes one round trip, so few connections carry many publishes.
MAX_CONNECTIONS: Final = 32


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
