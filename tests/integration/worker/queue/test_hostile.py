"""Whoever can write to Redis takes no worker away and holds up no event; a real worker, real servers."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from celery import Celery

from cashback_client.contract import QUEUE, RETRY_QUEUE, TASK_NAME
from tests.support import bad_messages
from tests.support.bad_messages import Bench, message, settle, token
from tests.support.betcore import signer
from tests.support.broadcasts import MALFORMED
from tests.support.held import held
from tests.support.raw_betcore import by_path, reply, silence

FLOOD = 10_300
SECONDS_AHEAD = 100
STRANGERS = 100


@pytest.fixture
def bench(redis_url: str, database_url: str, tmp_path: Path) -> Iterator[Bench]:
    with bad_messages.bench(redis_url, database_url, tmp_path) as made:
        yield made


COMMANDS: list[tuple[str, dict[str, Any]]] = [
    ("rate_limit", {"task_name": TASK_NAME, "rate_limit": "1/h"}),
    ("cancel_consumer", {"queue": QUEUE}),
    ("add_consumer", {"queue": "partner"}),
    ("shutdown", {}),
    ("pool_shrink", {"n": 4}),
    ("pool_restart", {}),
    ("autoscale", {"max": 0, "min": 0}),
    ("time_limit", {"task_name": TASK_NAME, "hard": 1}),
    ("revoke", {"task_id": ["x"]}),
    ("terminate", {"signal": "KILL", "task_id": "x"}),
    ("disable_events", {}),
    ("hello", {"from_node": "x", "revoked": {}}),
    ("memdump", {}),
    ("nothing_of_the_kind", {}),
]
"""What changes a worker, tells what is in its memory, or is not known."""


def test_a_broadcast_changes_nothing_and_what_flower_shows_is_answered(bench: Bench) -> None:
    bench.start_worker()
    app = Celery(broker=bench.redis_url, set_as_current=False)
    # Past kombu's pools, which may hold a connection from before a restart of the server.
    with app.connection_for_write() as connection:
        for command, arguments in COMMANDS:
            replies = app.control.broadcast(
                command, arguments=arguments, reply=True, limit=1, timeout=120, connection=connection
            )
            (said,) = (answer for reply in replies for answer in reply.values())
            assert said["error"].startswith("refused: a worker answers ping, ")

        inspect = app.control.inspect(timeout=120, limit=1, connection=connection)
        for name in ("ping", "stats", "active", "active_queues", "conf", "reserved", "revoked", "scheduled"):
            assert getattr(inspect, name)(), name
        assert inspect.registered()

    for cashback_id in (1, 2, 3):
        bench.credit(cashback_id)
    assert "remote_control_refused" in bench.log()


def test_a_broadcast_that_cannot_be_read_is_dropped(bench: Bench) -> None:
    worker = bench.start_worker()
    channel = f"/{urlsplit(bench.redis_url).path.strip('/') or 0}.celery.pidbox"
    with redis.Redis.from_url(bench.redis_url) as client:
        for name, broadcast in MALFORMED.items():
            assert client.publish(channel, broadcast) >= 1, name

    bench.credit(4)
    assert worker.is_running
    assert "broadcast_dropped" in bench.log()
    assert "Control command error" not in bench.log()
    assert "Connection to broker lost" not in bench.log()


def ahead(seconds: float) -> str:
    """Return an ETA."""
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() + seconds))


@pytest.mark.parametrize("seconds", [200, 86_400, None])
def test_an_eta_beyond_our_longest_retry_is_ignored(bench: Bench, seconds: float | None) -> None:
    bench.start_worker()
    eta = "9999-12-31T23:59:59+00:00" if seconds is None else ahead(seconds)
    cashback_id = 10 + len(bench.accepts())
    bench.push(settle([[], message(token(cashback_id)), None], headers={"eta": eta}))

    bench.wait_for_success(cashback_id)


@pytest.mark.parametrize("queue", [QUEUE, RETRY_QUEUE])
def test_there_is_a_place_for_fresh_events_whatever_waits(bench: Bench, queue: str) -> None:
    bench.start_worker()
    waiting = settle([[], message(token(5)), None], headers={"eta": ahead(SECONDS_AHEAD)})
    with redis.Redis.from_url(bench.redis_url) as client:
        client.lpush(queue, *[waiting] * FLOOD)
        bench.wait(lambda: held(client) >= 8_900 or not client.exists(queue), "the flood is taken")
        bench.credit(6)
        client.delete(queue)


def test_messages_with_unknown_keys_hold_up_nobody_while_the_key_endpoint_hangs(bench: Bench) -> None:
    bench.start_worker(jwks_timeout_seconds="30", jwks_unknown_key_seconds="0")
    bench.credit(20)
    bench.peer.answer = by_path(accept=reply(200), jwks=silence)
    stranger = message(replace(signer(2), kid="nobody's").token(at=time.time()))
    for number in range(STRANGERS):
        bench.push(settle([[], stranger, None], headers={"id": f"stranger-{number}"}))
    bench.wait(lambda: bench.peer.paths().count("jwks") > 1, "the key is fetched")

    # Behind all of them.
    for cashback_id in (21, 22, 23):
        bench.credit(cashback_id)

    assert not [body for body in bench.accepts() if '"CashbackId":480' in body]
