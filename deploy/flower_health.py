"""`python -m deploy.flower_health`: whether the Flower on `$PORT` sees what the workers send.

Ends with 0 where it does, and with 1 and a sentence where it does not, or where Redis or Flower cannot be
reached. Flower's own /healthcheck says OK as long as Flower answers. Decision 26.
"""

import http.client
import os
import sys
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from deploy.flower_events import LAST_EVENT
from deploy.monitor import create_app, settings_or_exit

HEARTBEAT_SECONDS: Final = 7.0
"""How long to listen for a worker: three of its heartbeats, which it sends every two seconds."""
CATCH_UP_SECONDS: Final = 5.0
"""How long Flower may take to have seen what was sent."""
_HTTP_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 0.2
_LOCALHOST: Final = "127.0.0.1"


class Blind(Exception):
    """Flower does not see what the workers send."""


def check(app: Celery, port: int) -> None:
    """Raise Blind where Flower on this port of this machine misses events, or cannot tell."""
    began = time.time()
    newest_event(port)
    try:
        is_sent = _hears_a_worker(app)
    except (OperationalError, RedisError, OSError) as error:
        raise Blind(
            "Redis cannot be reached, check CASHBACK_REDIS_URL and that it runs: "
            f"{type(error).__name__}: {error}"
        ) from None
    if not is_sent:
        # Nothing to see: no worker runs.
        return
    end = time.monotonic() + CATCH_UP_SECONDS
    while (newest := newest_event(port)) < began:
        if time.monotonic() > end:
            seen = f"its newest is {time.time() - newest:.0f} s old" if newest else "it has seen none"
            raise Blind(f"workers send events, but Flower sees none, {seen}: read its log, restart it")
        time.sleep(_PAUSE_SECONDS)


def watch(
    app: Celery, port: int, *, say: Callable[[str], None], stopping: threading.Event, pause_seconds: float
) -> None:
    """Check time and again until told to stop, and say when Flower turns blind and when it sees again."""
    was_blind = False
    while not stopping.wait(pause_seconds):
        sentence = ""
        try:
            check(app, port)
        except Blind as error:
            sentence = str(error)
        if bool(sentence) != was_blind and not stopping.is_set():
            was_blind = bool(sentence)
            say(sentence or "Flower sees what the workers send again")


def newest_event(port: int) -> float:
    """Return when Flower received its newest event, as Unix time; raises Blind where it does not say."""
    connection = http.client.HTTPConnection(_LOCALHOST, port, timeout=_HTTP_SECONDS)
    try:
        connection.request("GET", "/metrics")
        reply = connection.getresponse()
        lines = reply.read().decode().splitlines()
    except (OSError, http.client.HTTPException) as error:
        raise Blind(f"Flower does not answer on port {port}: {type(error).__name__}: {error}") from None
    finally:
        connection.close()
    for line in lines:
        name, _, value = line.partition(" ")
        if reply.status == HTTPStatus.OK and name == LAST_EVENT:
            return float(value)
    raise Blind(f"what answers on port {port} is not our Flower")


def _hears_a_worker(app: Celery) -> bool:
    """Whether a heartbeat comes by, seen from a subscription of our own that leaves nothing in Redis."""
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        exchange = app.conf.event_exchange
        with channel.client.pubsub() as subscription:
            for topic in channel._get_publish_topics(exchange, "worker.heartbeat"):  # noqa: SLF001 - no other way
                subscription.subscribe(topic)
            end = time.monotonic() + HEARTBEAT_SECONDS
            while (left_seconds := end - time.monotonic()) > 0:
                message = subscription.get_message(ignore_subscribe_messages=True, timeout=left_seconds)
                if message is not None:
                    return True
    return False


def main() -> None:
    """Check, say what is wrong, and end with 0 or 1."""
    try:
        check(create_app(settings_or_exit()), int(os.environ.get("PORT", "5555")))
    except Blind as error:
        sys.stderr.write(f"cashback flower: {error}\n")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
