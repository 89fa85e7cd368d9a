"""The receiver's Redis client, from the URL that Celery reads too."""

import asyncio
import ssl
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.connection import Connection, ConnectionPool, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import RedisError

from producer.shared.preconditions.checks import answered_by
from producer.shared.preconditions.redis import RECEIVER_NEEDS, Command, of_error, redis_check
from producer.shared.preconditions.verdict import Verdict
from producer.shared.settings import ENV_PREFIX, SettingsError, SharedSettings

# A publish takes one round trip, so few connections carry many publishes.
MAX_CONNECTIONS: Final = 32

_CHECK_SECONDS: Final = 1.0
_DEFAULT_PORTS: Final = {"redis": 6379, "rediss": 6379, "sentinel": 26379}
_VERIFY_MODES: Final = {
    "CERT_REQUIRED": ssl.CERT_REQUIRED,
    "CERT_OPTIONAL": ssl.CERT_OPTIONAL,
    "CERT_NONE": ssl.CERT_NONE,
    "required": ssl.CERT_REQUIRED,
    "optional": ssl.CERT_OPTIONAL,
    "none": ssl.CERT_NONE,
}
_SSL_TEXT_OPTIONS: Final = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})


def redis_client(settings: SharedSettings, *, timeout_seconds: float) -> "Redis":
    """Return a client for `settings.redis_url`; nothing connects yet. Raises SettingsError.

    The URL is read as kombu reads it: `/db` and percent-encoded credentials of the first address, TLS
    options `ssl_*` in the query, several `sentinel://` addresses separated by `;`. Other query options
    are kombu's alone and are left to it. `timeout_seconds` bounds one connect and one reply each.
    """
    try:
        addresses = [urlsplit(part.strip()) for part in settings.redis_url.split(";") if part.strip()]
        first = addresses[0]
        options = _connection_options(first, timeout_seconds)
        hosts = [
            (part.hostname or "127.0.0.1", part.port or _DEFAULT_PORTS[first.scheme]) for part in addresses
        ]
    except (ValueError, KeyError) as error:
        raise SettingsError(f"{ENV_PREFIX}REDIS_URL: {error}") from None
    if first.scheme == "sentinel":
        sentinel = Sentinel(  # type: ignore[no-untyped-call] # redis-py left this constructor untyped
            hosts, sentinel_kwargs=_sentinel_options(timeout_seconds), **options
        )
        client: Redis = sentinel.master_for(settings.redis_sentinel_master, max_connections=MAX_CONNECTIONS)
        return client
    if len(hosts) > 1:
        raise SettingsError(f"{ENV_PREFIX}REDIS_URL: only sentinel:// URLs may name several addresses")
    host, port = hosts[0]
    pool = ConnectionPool(
        connection_class=SSLConnection if first.scheme == "rediss" else Connection,
        max_connections=MAX_CONNECTIONS,
        host=host,
        port=port,
        **options,
    )
    return Redis.from_pool(pool)


async def replies_to(client: "Redis", commands: Sequence[Command]) -> list[object]:
    """Send commands together and return the reply to each, an error where it is one."""
    async with client.pipeline(transaction=False) as pipeline:
        for command in commands:
            pipeline.execute_command(*command)
        replies: list[object] = await pipeline.execute(raise_on_error=False)
        return replies


def check_redis(settings: SharedSettings) -> list[Verdict]:
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


def _connection_options(address: SplitResult, timeout_seconds: float) -> dict[str, Any]:
    options: dict[str, Any] = {
        "db": _database(address.path),
        "username": unquote(address.username) if address.username else None,
        "password": unquote(address.password) if address.password else None,
        # The newer protocol only adds greetings to each connect.
        "protocol": 2,
        "driver_info": None,
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "socket_keepalive": True,
        "retry": Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.2), retries=3),
    }
    if address.scheme == "rediss":
        options |= _ssl_options(dict(parse_qsl(address.query)))
    return options


def _sentinel_options(timeout_seconds: float) -> dict[str, Any]:
    # Several sentinels are asked in turn, so the first one that is away must not use up the whole time.
    share = timeout_seconds / 4
    return {
        "protocol": 2,
        "driver_info": None,
        "socket_timeout": share,
        "socket_connect_timeout": share,
        "retry": Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.2), retries=0),
    }


def _database(path: str) -> int:
    text = path.strip("/")
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"the database after the last / must be a number, not {text!r}")
    return int(text)


def _ssl_options(query: dict[str, str]) -> dict[str, Any]:
    options: dict[str, Any] = {name: value for name, value in query.items() if name in _SSL_TEXT_OPTIONS}
    if "ssl_cert_reqs" in query:
        mode = query["ssl_cert_reqs"]
        if mode not in _VERIFY_MODES:
            raise ValueError("ssl_cert_reqs must be required, optional or none")
        options["ssl_cert_reqs"] = _VERIFY_MODES[mode]
        options["ssl_check_hostname"] = _VERIFY_MODES[mode] is ssl.CERT_REQUIRED
    if "ssl_check_hostname" in query:
        options["ssl_check_hostname"] = query["ssl_check_hostname"].lower() != "false"
    return options
