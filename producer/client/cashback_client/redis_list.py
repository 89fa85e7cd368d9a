"""The queue in Redis: many entries with one LPUSH, which puts all of them there or none."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from redis.asyncio.connection import Connection, ConnectionPool, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    NoPermissionError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from cashback_client.errors import Cause, Unanswered
from cashback_client.settings import RedisAddress

# One round trip for each call, so few connections carry many calls.
_MAX_CONNECTIONS: Final = 8
_TRIES: Final = 2
# redis-py makes broken connections of some of them.
_REFUSALS: Final = (AuthenticationError, AuthorizationError, NoPermissionError)
_ANSWERS: Final = (*_REFUSALS, BusyLoadingError, ResponseError)


class RedisList:
    """Puts entries onto one list. `timeout_seconds` bounds one connect and one reply each.

    A connection that turns out to be cut, or whose server is no primary any more, costs one more try over a
    new one, and nothing else is tried again.
    """

    def __init__(self, address: RedisAddress, *, timeout_seconds: float) -> None:
        self._connections = asyncio.Semaphore(_MAX_CONNECTIONS)
        self._is_closed = False
        self._sentinel: Any = None
        options = {**address.connection, **_bounds(timeout_seconds)}
        if address.sentinel_master is None:
            [(host, port)] = address.hosts
            self._pool: Any = ConnectionPool(
                connection_class=SSLConnection if address.has_tls else Connection,
                max_connections=_MAX_CONNECTIONS,
                host=host,
                port=port,
                **options,
            )
            return
        tls = {name: value for name, value in address.connection.items() if name.startswith("ssl_")}
        # They are asked in turn, so the first one that is away must not use up the whole time.
        asking = {**address.sentinel_login, **tls, **_bounds(timeout_seconds / 4)}
        self._sentinel = Sentinel(  # type: ignore[no-untyped-call] # redis-py left this constructor untyped
            address.hosts,
            sentinel_kwargs={**asking, **({"ssl": True} if address.has_tls else {})},
            ssl=address.has_tls,
            **options,
        )
        found: Any = self._sentinel.master_for(address.sentinel_master, max_connections=_MAX_CONNECTIONS)
        self._pool = found.connection_pool

    async def push(self, queue: str, entries: Sequence[bytes], *, until: float) -> None:
        """Return when the entries are on the list, in their order; raises Unanswered.

        `until` is a time of the event loop.
        """
        was_sent = was_sent_before = False
        try:
            async with asyncio.timeout_at(until), self._connections:
                for tries_left in reversed(range(_TRIES)):
                    connection = await self._pool.get_connection()
                    was_sent_before, was_sent = was_sent, True
                    try:
                        return await self._push(connection, queue, entries)
                    except _ANSWERS:
                        # This try has put nothing there.
                        was_sent = was_sent_before
                        raise
                    except (RedisConnectionError, OSError):
                        if not tries_left or self._is_closed:
                            raise
        except (TimeoutError, RedisTimeoutError) as error:
            raise Unanswered("Redis did not answer in time", reason="timed_out", was_sent=was_sent) from error
        except (RedisError, OSError) as error:
            raise _unanswered(error, was_sent=was_sent) from error

    async def _push(self, connection: Any, queue: str, entries: Sequence[bytes]) -> None:  # noqa: ANN401 - untyped
        try:
            await connection.send_command("LPUSH", queue, *entries, check_health=False)
            await connection.read_response()
        finally:
            # redis-py has closed it where it is broken off: the next answer could be the one to this.
            await self._pool.release(connection)

    async def close(self) -> None:
        """Close the connections."""
        self._is_closed = True
        await self._pool.aclose()
        if self._sentinel is not None:
            await self._sentinel.aclose()


def _bounds(timeout_seconds: float) -> dict[str, Any]:
    return {
        # The newer protocol only adds greetings to each connect, and rights that they need.
        "protocol": 2,
        "driver_info": None,
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), retries=0),
    }


def _unanswered(error: RedisError | OSError, *, was_sent: bool) -> Unanswered:
    cause: Cause
    if isinstance(error, _REFUSALS):
        cause = "access_refused"
    elif isinstance(error, _ANSWERS):
        cause = "unavailable"
    elif isinstance(error, RedisConnectionError | OSError):
        cause = "cut_off" if was_sent else "unreachable"
    else:
        cause = "broken_reply"
    return Unanswered(f"Redis: {type(error).__name__}: {error}", reason=cause, was_sent=was_sent)
