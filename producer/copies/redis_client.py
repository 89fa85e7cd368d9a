"""The receiver's Redis client, from the URL that Celery reads too."""

import asyncio
from collections.abc import Callable, Generator, Sequence
from typing import Any, Final, TypeVar

from redis.asyncio import Redis
from redis.asyncio.connection import Connection, ConnectionPool, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from producer.shared.preconditions.redis import (
    RECEIVER_NEEDS,
    Command,
    first_error,
    of_error,
    redis_check,
)
from producer.shared.preconditions.verdict import Verdict
from producer.shared.redis.server import RedisServer
from producer.shared.settings.servers import RedisSettings

# A publish takes one round trip, so few connections carry many publishes.
MAX_CONNECTIONS: Final = 32

_CHECK_SECONDS: Final = 1.0

Found = TypeVar("Found")


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


async def answered(
    client: "Redis", check: Callable[[], Generator[Sequence[Command], Sequence[object], Found]]
) -> Found:
    """Run a check through one connection of the client's, and again where it is cut; return what it found."""
    pool: Any = client.connection_pool  # redis-py left its methods untyped
    connection = await pool.get_connection()
    talk = _Talk(client, connection)
    try:
        return await connection.retry.call_with_retry(lambda: talk.run(check()), _go_on)  # type: ignore[no-any-return] # as above
    finally:
        if not talk.has_ended_well:
            # It may be in a transaction still, and then nothing that is sent through it would be done.
            await connection.disconnect(nowait=True)
        await pool.release(connection)


class _Talk:
    def __init__(self, client: "Redis", connection: Connection) -> None:
        self.has_ended_well = False
        self._client = client
        self._connection = connection

    async def run(self, check: Generator[Sequence[Command], Sequence[object], Found]) -> Found:
        commands = next(check)
        try:
            while True:
                self.has_ended_well = False
                replies = await self._replies(commands)
                self.has_ended_well = first_error(replies) is None
                commands = check.send(replies)
                if not self._connection.is_connected:
                    # Sending would connect anew, in the middle of a transaction.
                    raise RedisConnectionError("the connection was cut")
        except StopIteration as end:
            found: Found = end.value
            return found

    async def _replies(self, commands: Sequence[Command]) -> list[object]:
        packed = self._connection.pack_commands(commands)
        # A look at its health may connect anew, too.
        await self._connection.send_packed_command(packed, check_health=False)
        replies = list[object]()
        for command in commands:
            try:
                replies.append(await self._client.parse_response(self._connection, str(command[0])))
            except ResponseError as error:
                replies.append(error)
        return replies


async def _go_on(_error: Exception) -> None:
    """Do nothing where a try has failed: what it read from has hung up."""


def check_redis(settings: RedisSettings) -> list[Verdict]:
    """Ask Redis, through a connection of its own, what the receiver must find; return what is wrong.

    For a thread without an event loop. Raises SettingsError.
    """
    client = redis_client(settings, timeout_seconds=_CHECK_SECONDS)
    with asyncio.Runner() as runner:
        try:
            return runner.run(answered(client, lambda: redis_check(RECEIVER_NEEDS, needs_multi=False)))
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
