"""kombu's transports, plain and with sentinels, with the taking of `channel`."""

from typing import Any, Final

from kombu.transport import redis as redis_transport
from redis.exceptions import ResponseError

from worker.queue.transport.channel import EntryTaker

_OPTIONS: Final = ("lease_seconds", "stop_seconds", "weights")


class _Channel(EntryTaker, redis_transport.Channel):  # type: ignore[misc]  # kombu has no types
    from_transport_options = (*redis_transport.Channel.from_transport_options, *_OPTIONS)


class _SentinelChannel(EntryTaker, redis_transport.SentinelChannel):  # type: ignore[misc]
    from_transport_options = (*redis_transport.SentinelChannel.from_transport_options, *_OPTIONS)


# A server that refuses a command (its disk or memory is full, or it became a replica) counts as away: to
# Celery such an error is the end of the worker, but here it reconnects, and the sweeper settles meanwhile.
_OUTAGES: Final = (*redis_transport.Transport.connection_errors, ResponseError)


class _Transport(redis_transport.Transport):  # type: ignore[misc]  # kombu has no types
    Channel = _Channel
    connection_errors = _OUTAGES


class _SentinelTransport(redis_transport.SentinelTransport):  # type: ignore[misc]  # kombu has no types
    Channel = _SentinelChannel
    connection_errors = _OUTAGES


def _holding_transport(transport: type[Any]) -> type[Any]:
    """Return kombu's Redis transport, plain or with sentinels, with this taking."""
    holding = {
        redis_transport.Transport: _Transport,
        redis_transport.SentinelTransport: _SentinelTransport,
    }
    return holding.get(transport, transport)


def holding(connection: Any) -> Any:  # noqa: ANN401 - kombu has no types
    """Have a connection use these transports, and return it."""
    plain = connection.get_transport_cls
    # Not `transport_cls`: that is set anew when the connection turns to the next server of its URL.
    connection.get_transport_cls = lambda: _holding_transport(plain())
    return connection
