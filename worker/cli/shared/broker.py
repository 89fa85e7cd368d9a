"""The queues, for the commands that put messages onto them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import redis
from kombu import Connection
from kombu.exceptions import KombuError

from producer.shared.redis.broker import broker_configuration
from producer.shared.settings.environment import load
from producer.shared.settings.servers import RedisSettings
from worker.recovery.broker import BrokerUnavailable
from worker.settings import CommandSettings

_TIMEOUT_SECONDS: Final = 5.0


class BrokerSettings(CommandSettings, RedisSettings):
    """Settings of the commands that need the queues too."""


@contextmanager
def open_queues() -> Iterator[Callable[[str, bytes], None]]:
    """Give a function that puts an entry onto a queue, where the next worker takes it after those before.

    Raises SettingsError; the function raises BrokerUnavailable, and then the entry may be there all the same.
    """
    settings = load(BrokerSettings)
    broker = broker_configuration(settings, timeout_seconds=_TIMEOUT_SECONDS)
    with Connection(
        broker["broker_url"],
        ssl=broker["broker_use_ssl"],
        transport_options=broker["broker_transport_options"],
    ) as connection:

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
