"""Signs that a process of the stack can do its work."""

import http.client
from http import HTTPStatus
from typing import Final

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from deploy.local.processes import LOCALHOST

_HTTP_SECONDS: Final = 2.0
_PING_SECONDS: Final = 0.5


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


def worker_answers(redis_url: str, pid: int, *, sentinel_master: str = "mymaster") -> bool:
    """Whether the Celery worker with this process id, which is part of its name, answers a ping.

    A worker answers only after it has begun to consume.
    """
    app = Celery("cashback-stack", broker=redis_url, set_as_current=False)
    app.conf.broker_transport_options = {"master_name": sentinel_master}
    try:
        replies = app.control.broadcast(
            "ping", reply=True, timeout=_PING_SECONDS, limit=1, pattern=f"worker-{pid}@*", matcher="glob"
        )
    except (OperationalError, RedisError):
        # The broker has just been started, or restarted.
        return False
    finally:
        app.close()
    return bool(replies)
