"""The queues, for the commands that put messages onto them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import redis
from kombu import Connection
from kombu.exceptions import KombuError
from pydantic import Field

from producer.shared.settings import RedisUrl, SharedSettings, load
from worker.recovery.broker import BrokerUnavailable
from worker.settings import CommandSettings

_TIMEOUT_SECONDS: Final = 5.0


class BrokerSettings(CommandSettings):
    """Settings of the commands that need the queues too."""

    redis_url: RedisUrl = Field(description=SharedSettings.model_fields["redis_url"].description)
    redis_sentinel_master: str = Field(
        default=SharedSettings.model_fields["redis_sentinel_master"].default,
        min_length=1,
        description=SharedSettings.model_fields["redis_sentinel_master"].description,
    )


@contextmanager
def open_queues() -> Iterator[Callable[[str, bytes], None]]:
    """Give a function that puts an entry onto a queue, where the next worker takes it after those before.

    Raises SettingsError; the function raises BrokerUnavailable, and then the entry may be there all the same.
    """
    settings = load(BrokerSettings)
    timeouts = {"socket_timeout": _TIMEOUT_SECONDS, "socket_connect_timeout": _TIMEOUT_SECONDS}
    options = {
        "master_name": settings.redis_sentinel_master,
        # One attempt for each sentinel: redis-py would ask one that is away for many seconds.
        "sentinel_kwargs": {**timeouts, "retry": None},
        **timeouts,
    }
    with Connection(settings.redis_url, transport_options=options) as connection:

        def push(queue: str, entry: bytes) -> None:
            try:
                # Past kombu's own publishing, which would write the entry anew.
                connection.default_channel.client.lpush(queue, entry)
            except (redis.RedisError, KombuError, OSError) as error:
                raise BrokerUnavailable(
                    "Redis cannot be reached, check CASHBACK_REDIS_URL and that it runs: "
                    f"{type(error).__name__}: {error}"
                ) from error

        yield push
