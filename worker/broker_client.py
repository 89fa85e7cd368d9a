"""A client of the broker's server for what is no message, through kombu's pool: with `sentinel://`, too."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from kombu.exceptions import LimitExceeded, OperationalError


@contextmanager
def client_of(pool: Any, *, timeout_seconds: float) -> Iterator["redis.Redis"]:  # noqa: ANN401 - kombu has no types
    """Give a client inside the block; raises OSError for whatever goes wrong with Redis, in time."""
    try:
        with pool.acquire(block=True, timeout=timeout_seconds) as connection:
            # By itself it would try again for seconds while Redis is away, and somebody waits for this.
            connection.ensure_connection(max_retries=max(0, len(connection.alt) - 1))
            yield connection.default_channel.client
    except (redis.RedisError, OperationalError, LimitExceeded) as error:
        raise OSError(f"Redis: {type(error).__name__}: {error}") from error
