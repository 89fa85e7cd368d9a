"""How Flower listens: on a connection that notices a server which is gone without a word, and waits for it.

Celery's receiver of events only reads. Where the host of Redis vanishes nothing ever comes, which is how a
quiet hour looks too. kombu 5.7 asks whether the server is there, but from an event loop, and Flower has none.
Decision 26.
"""

from typing import Any, Final

from celery import Celery
from celery.app.amqp import AMQP
from kombu.connection import Connection, ConnectionPool, PooledConnection
from kombu.transport import redis as redis_transport
from prometheus_client import Gauge
from redis.exceptions import ConnectionError  # noqa: A004 - the one that kombu knows

SILENCE_SECONDS: Final = 1
"""After so long without a word the server is asked whether it is there, and again after as long."""
_UNANSWERED: Final = 3
LAST_EVENT: Final = "cashback_flower_last_event_timestamp_seconds"
_EVENT_QUEUES: Final = "celeryev."

_last_event = Gauge(LAST_EVENT, "When Flower received its newest event, Unix time; 0 before the first.")


class _Watching:
    """Notes the time of each event and asks the server when none comes; to be mixed into a transport."""

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:  # noqa: ANN401 - kombu's
        """Wait for what comes; raises TimeoutError where nothing does, ConnectionError without a server."""
        try:
            super().drain_events(connection, timeout=timeout)  # type: ignore[misc]  # the transport's
        except TimeoutError:
            for channel in connection.channels:
                # The property would connect.
                if (subscriber := vars(channel).get("subclient")) is not None:
                    _ask(subscriber)
            raise

    def _deliver(self, message: Any, queue: str) -> None:  # noqa: ANN401 - the same
        super()._deliver(message, queue)  # type: ignore[misc]  # the same
        if queue.startswith(_EVENT_QUEUES):
            _last_event.set_to_current_time()


def _ask(subscriber: Any) -> None:  # noqa: ANN401 - redis-py's PubSub
    if subscriber.connection is None:
        return
    if subscriber.health_check_response_counter >= _UNANSWERED:
        subscriber.connection.disconnect()
        raise ConnectionError(f"Redis left {_UNANSWERED} pings without an answer")
    subscriber.check_health()


class _Transport(_Watching, redis_transport.Transport):  # type: ignore[misc]  # kombu has no types
    pass


class _SentinelTransport(_Watching, redis_transport.SentinelTransport):  # type: ignore[misc]  # the same
    pass


_WATCHING: Final = {
    redis_transport.Transport: _Transport,
    redis_transport.SentinelTransport: _SentinelTransport,
}


class _Ending:
    """Has a broadcast end, to be mixed into a connection: kombu repeats it until the server is back."""

    def ensure(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - the same
        # Flower repeats its own, and could not be stopped while one is under way.
        return super().ensure(*arguments, **{"max_retries": 0, **options})  # type: ignore[misc]


class _PooledConnection(_Ending, PooledConnection):  # type: ignore[misc]  # the same
    pass


class _Pool(ConnectionPool):  # type: ignore[misc]  # the same
    def new(self) -> _PooledConnection:
        return _PooledConnection(self, **dict(self.connection._info(resolve=False)))  # noqa: SLF001 - as kombu's


class _Connection(_Ending, Connection):  # type: ignore[misc]  # the same
    def get_transport_cls(self) -> type[Any]:
        plain: type[Any] = super().get_transport_cls()
        return _WATCHING.get(plain, plain)

    def Pool(self, limit: int | None = None, **options: Any) -> _Pool:  # noqa: ANN401, N802 - the same
        return _Pool(self, limit, **options)


class _Amqp(AMQP):  # type: ignore[misc]  # Celery has no types
    Connection = _Connection


class ListeningApp(Celery):  # type: ignore[misc]  # the same
    """A Celery app whose `connection()`, on which Flower listens and nothing else, waits for the server."""

    amqp_cls = _Amqp

    def connection(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - Celery's
        """Return a connection that is tried again every second or two, however long that takes.

        Flower's own pauses double with each failure, without an end.
        """
        patience = {
            "interval_start": 0.5,
            "interval_step": 0.5,
            "interval_max": 2,
            "connect_retries_timeout": None,
        }
        return super().connection(*arguments, transport_options=patience, **options)
