"""How Celery and kombu reach Redis: the same for the worker, Flower and the command."""

from typing import Any

from producer.shared.settings.servers import RedisSettings


def broker_configuration(settings: RedisSettings, *, timeout_seconds: float) -> dict[str, Any]:
    """Return Celery's settings of the broker; `timeout_seconds` bounds one connect and one reply each."""
    server = settings.redis_server
    return {
        "broker_url": server.broker_url,
        "broker_use_ssl": dict(server.tls) if server.tls is not None else False,
        "broker_transport_options": {
            "master_name": settings.redis_sentinel_master,
            # Sentinels are asked in turn: one that is away must not cost the time of redis-py's retries.
            "sentinel_kwargs": {
                **settings.sentinel_options(timeout_seconds=timeout_seconds / 3),
                "retry": None,
            },
            "socket_timeout": timeout_seconds,
            "socket_connect_timeout": timeout_seconds,
        },
    }
