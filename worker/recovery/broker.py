"""The sweeper's view of the queue: what waits there longest, and a way to put an event back.

Decision 9.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import redis
from celery import Celery
from kombu.exceptions import KombuError

from producer.client.contract import QUEUE, RETRY_QUEUE, TASK_NAME, SettleMessage
from producer.client.envelope import received_at_ms_of
from worker.errors import WorkerError

_PAUSE_SECONDS: Final = 2.0


class BrokerUnavailable(WorkerError):
    """Redis did not answer; events are settled straight from their receipts."""

    reason = "broker_unavailable"


class Broker(Protocol):
    """What the sweeper needs of the queue. Its calls are bounded and raise BrokerUnavailable."""

    def waiting_since(self) -> datetime | None:
        """Return when the event that waits longest in the queue was received; None: none waits."""
        ...

    def publish(self, message: SettleMessage) -> None:
        """Put an event onto the retry queue, which fresh events do not stand in."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


class CeleryBroker:
    """The broker of a Celery app, over a connection of its own; for one thread.

    A broker that failed is not asked again for some seconds: the sweep has better things to do than wait.
    """

    def __init__(
        self, app: Celery, *, timeout_seconds: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._app = app
        self._monotonic = monotonic
        self._ask_again_at = 0.0
        options = {
            **app.conf.broker_transport_options,
            "socket_timeout": timeout_seconds,
            "socket_connect_timeout": timeout_seconds,
            # kombu's own pauses between attempts to connect would hold up the sweep.
            "max_retries": 1,
            "interval_start": 0,
            "interval_step": 0,
            "interval_max": 0,
        }
        self._connection: Any = app.connection_for_write(transport_options=options)

    def waiting_since(self) -> datetime | None:
        """Return when the event that waits longest was received; a message that is none counts as old."""
        self._check_pause()
        try:
            head = self._connection.default_channel.client.lindex(QUEUE, -1)
        except _FAULTS as error:
            raise self._unavailable(error) from error
        if head is None:
            return None
        return datetime.fromtimestamp((received_at_ms_of(head) or 0) / 1000, tz=UTC)

    def publish(self, message: SettleMessage) -> None:
        """Put an event onto the retry queue."""
        self._check_pause()
        try:
            self._app.send_task(
                TASK_NAME,
                kwargs=message.model_dump(),
                task_id=str(message.event_id),
                queue=RETRY_QUEUE,
                connection=self._connection,
                retry=False,
                # The worker that receives it says what it is about; the token has no place here.
                argsrepr="()",
                kwargsrepr="(overdue)",
            )
        except _FAULTS as error:
            raise self._unavailable(error) from error

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _check_pause(self) -> None:
        if self._monotonic() < self._ask_again_at:
            raise BrokerUnavailable("Redis failed a moment ago")

    def _unavailable(self, error: Exception) -> BrokerUnavailable:
        self._ask_again_at = self._monotonic() + _PAUSE_SECONDS
        self._connection.collect()
        return BrokerUnavailable(f"Redis: {type(error).__name__}: {error}")


_FAULTS: Final = (redis.RedisError, KombuError, OSError)
