"""Redis, for the commands that put messages onto queues or read the witness."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import redis
from kombu import Connection
from kombu.exceptions import KombuError

from producer.shared.redis.broker import broker_configuration
from producer.shared.settings.environment import load
from producer.shared.settings.servers import RedisSettings
from worker.ledger.commit_notes import Commit
from worker.recovery.broker import BrokerUnavailable
from worker.recovery.witness import RedisWitness
from worker.settings import CommandSettings

_TIMEOUT_SECONDS: Final = 5.0


class BrokerSettings(CommandSettings, RedisSettings):
    """Settings of the commands that need the queues too."""


@contextmanager
def open_queues() -> Iterator[Callable[[str, bytes], None]]:
    """Give a function that puts an entry onto a queue, where the next worker takes it after those before.

    Raises SettingsError; the function raises BrokerUnavailable, and then the entry may be there all the same.
    """
    with _connection() as connection:

        def push(queue: str, entry: bytes) -> None:
            try:
                # Past kombu's own publishing, which would write the entry anew.
                connection.default_channel.client.lpush(queue, entry)
            except (redis.RedisError, KombuError, OSError) as error:
                raise _away(error) from error

        yield push


def read_witness() -> list[Commit]:
    """Return the commits that Redis has on record, those that were found to be lost among them.

    Raises SettingsError and BrokerUnavailable.
    """
    with _connection() as connection:
        pool = connection.Pool(1)
        try:
            witness = RedisWitness(pool, timeout_seconds=_TIMEOUT_SECONDS)
            return [*witness.lost(), *witness.newest()]
        except BrokerUnavailable as error:
            raise _away(error) from error
        finally:
            pool.force_close_all()


def _connection() -> Connection:
    broker = broker_configuration(load(BrokerSettings), timeout_seconds=_TIMEOUT_SECONDS)
    return Connection(
        broker["broker_url"],
        ssl=broker["broker_use_ssl"],
        transport_options=broker["broker_transport_options"],
    )


def _away(error: Exception) -> BrokerUnavailable:
    return BrokerUnavailable(
        f"Redis cannot be reached, check CASHBACK_REDIS_URL and that it runs: {type(error).__name__}: {error}"
    )
