"""Signs that a process of the stack can do its work."""

import http.client
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from deploy.flower_health import Blind, newest_event
from deploy.local.ports import LOCALHOST

_HTTP_SECONDS: Final = 10.0
PING_SECONDS: Final = 0.5
_SHORT_PINGS: Final = 8
_MAX_PING_SECONDS: Final = 16.0


def answers_well(port: int, path: str) -> bool:
    """Whether an HTTP server on 127.0.0.1 answers GET `path` with 200."""
    connection = http.client.HTTPConnection(LOCALHOST, port, timeout=_HTTP_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        # Not listening yet, or not up to an answer.
        return False
    finally:
        connection.close()


def flower_sees_a_worker(port: int) -> bool:
    """Whether Flower on 127.0.0.1 has received an event."""
    try:
        return newest_event(port) > 0
    except Blind:
        # Not listening yet.
        return False


def ping_times() -> Iterator[float]:
    """Yield how long to wait for the answer to one ping after the other, in seconds.

    A ping that comes before the worker consumes is lost, so the waits are short for as long as a start takes;
    a worker on a slow machine may take longer for each, so they grow then.
    """
    seconds = PING_SECONDS
    yield from [seconds] * _SHORT_PINGS
    while True:
        yield seconds
        seconds = min(2 * seconds, _MAX_PING_SECONDS)


def worker_answers(
    redis_url: str, pid: int, *, sentinel_master: str = "mymaster", ping_seconds: float = PING_SECONDS
) -> bool:
    """Whether the Celery worker with this process id, which is part of its name, answers a ping.

    A worker answers only after it has begun to consume.
    """
    app = Celery("cashback-stack", broker=redis_url, set_as_current=False)
    app.conf.broker_transport_options = {"master_name": sentinel_master}
    try:
        replies = app.control.broadcast(
            "ping", reply=True, timeout=ping_seconds, limit=1, pattern=f"worker-{pid}@*", matcher="glob"
        )
    except (OperationalError, RedisError):
        # The broker has just been started, or restarted.
        return False
    finally:
        app.close()
    return bool(replies)
