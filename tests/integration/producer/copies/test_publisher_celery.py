"""What the publisher puts onto a real Valkey is what Celery itself would put there, and Celery reads it."""

import asyncio
import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from celery.contrib.testing.worker import start_worker
from kombu import Connection, Message, Queue

from cashback_client.contract import QUEUE, TASK_NAME, SettleMessage, celery_options
from deploy.local.ports import free_port
from deploy.local.processes import wait_until
from deploy.local.valkey import ValkeyServer
from producer.copies.errors import CopyTimedOut, ServerUnreachable
from producer.copies.event import ReceivedEvent
from producer.copies.publisher import Publisher
from producer.copies.redis_client import redis_client
from producer.shared.settings.receiver import ReceiverSettings
from tests.support.betcore import cashback
from tests.support.futures import end_of
from tests.support.sentinel import MASTER, sentinel_of, sentinel_url

MESSAGE = SettleMessage(token="head.payload.signature", received_at_ms=1_800_000_000_123)
DATA = cashback()
EVENT = ReceivedEvent(MESSAGE, MESSAGE.event_id, 480, DATA)


def publisher_on(redis_url: str, *, timeout_seconds: float, master: str = "unused") -> Publisher:
    settings = ReceiverSettings(
        redis_url=redis_url,
        redis_sentinel_master=master,
        database_url="postgresql://unused.test/x",
        betcore_url="https://unused.test",
        token_client_id="PartnerClient-1556",
    )
    return Publisher(
        redis_client(settings, timeout_seconds=timeout_seconds),
        timeout_seconds=timeout_seconds,
        max_waiting=1000,
    )


def publish(redis_url: str, *, times: int = 1, timeout_seconds: float = 60, master: str = "unused") -> None:
    async def run() -> None:
        publisher = publisher_on(redis_url, timeout_seconds=timeout_seconds, master=master)
        try:
            await asyncio.gather(*(end_of(publisher.publish, EVENT) for _ in range(times)))
        finally:
            await publisher.close()

    asyncio.run(run())


def send_with_celery(redis_url: str) -> None:
    app = Celery(broker=redis_url, set_as_current=False)
    try:
        app.send_task(TASK_NAME, kwargs=MESSAGE.model_dump(), **celery_options(MESSAGE, DATA))
    finally:
        app.close()


def only_entry(redis_url: str) -> dict[str, Any]:
    with redis.Redis.from_url(redis_url) as client:
        (entry,) = client.lrange(QUEUE, 0, -1)
        client.flushall()
    loaded: dict[str, Any] = json.loads(entry)
    return loaded


def consumed(redis_url: str) -> Message:
    with Connection(redis_url) as connection, connection.SimpleQueue(Queue(QUEUE)) as queue:
        message = queue.get(timeout=120)
        message.ack()
    return message


def test_the_entry_is_that_of_send_task_but_for_what_names_the_sender(redis_url: str) -> None:
    publish(redis_url)
    ours = only_entry(redis_url)
    send_with_celery(redis_url)
    celerys = only_entry(redis_url)

    assert json.loads(b64decode(ours.pop("body"))) == json.loads(b64decode(celerys.pop("body")))
    for entry in (ours, celerys):
        assert entry["headers"].pop("origin")
        assert entry["properties"].pop("delivery_tag")
    # Celery names a queue for results, which nobody sends, and repeats two headers among the properties.
    assert (ours["properties"].pop("reply_to"), bool(celerys["properties"].pop("reply_to"))) == ("", True)
    for name in ("argsrepr", "kwargsrepr"):
        assert celerys["properties"].pop(name) == celerys["headers"][name]
    assert ours == celerys


def test_kombu_reads_the_same_message_from_both(redis_url: str) -> None:
    publish(redis_url)
    ours = consumed(redis_url)
    send_with_celery(redis_url)
    celerys = consumed(redis_url)

    assert ours.payload == celerys.payload
    assert (ours.content_type, ours.content_encoding) == (celerys.content_type, celerys.content_encoding)
    assert ours.headers | {"origin": ""} == celerys.headers | {"origin": ""}


def test_a_celery_worker_runs_the_task_with_the_message(redis_url: str) -> None:
    app = Celery(broker=redis_url, set_as_current=False)
    app.conf.update(task_default_queue=QUEUE, worker_hijack_root_logger=False, task_ignore_result=True)
    runs: list[tuple[str, dict[str, Any]]] = []

    @app.task(name=TASK_NAME, bind=True, shared=False)  # type: ignore[untyped-decorator] # Celery has no types
    def settle(task: Any, **keywords: Any) -> None:  # noqa: ANN401 - Celery has no types
        runs.append((task.request.id, keywords))

    publish(redis_url)
    with (
        start_worker(app, perform_ping_check=False, shutdown_timeout=120),
        redis.Redis.from_url(redis_url) as client,
    ):
        wait_until(lambda: not client.exists(QUEUE, "unacked"), what="the task has run", timeout_seconds=120)

    assert runs == [(str(MESSAGE.event_id), MESSAGE.model_dump())]


def test_many_publishes_at_once_all_arrive(redis_url: str) -> None:
    publish(redis_url, times=500)

    with redis.Redis.from_url(redis_url) as client:
        tags = {json.loads(entry)["properties"]["delivery_tag"] for entry in client.lrange(QUEUE, 0, -1)}
    assert len(tags) == 500


def test_a_redis_that_is_down_is_a_failed_copy(redis_url: str, valkey_server: ValkeyServer) -> None:
    valkey_server.kill()
    try:
        with pytest.raises(ServerUnreachable):
            publish(redis_url)
    finally:
        valkey_server.start()


def test_a_redis_that_is_frozen_is_a_copy_that_timed_out(redis_url: str, valkey_server: ValkeyServer) -> None:
    valkey_server.freeze()
    try:
        with pytest.raises(CopyTimedOut):
            publish(redis_url, timeout_seconds=0.3)
    finally:
        valkey_server.thaw()


def test_connections_that_died_with_a_restart_are_replaced_within_the_publish(
    redis_url: str, valkey_server: ValkeyServer
) -> None:
    async def run() -> None:
        publisher = publisher_on(redis_url, timeout_seconds=60)
        try:
            await end_of(publisher.publish, EVENT)
            await asyncio.to_thread(valkey_server.restart)
            await end_of(publisher.publish, EVENT)
        finally:
            await publisher.close()

    asyncio.run(run())

    with redis.Redis.from_url(redis_url) as client:
        assert client.llen(QUEUE) == 2


def test_through_sentinels_the_message_reaches_the_primary(
    redis_url: str, valkey_server: ValkeyServer, tmp_path: Path
) -> None:
    away = free_port()

    with sentinel_of(valkey_server, tmp_path) as port:
        publish(sentinel_url(away, port), master=MASTER)

    assert consumed(redis_url).headers["id"] == str(MESSAGE.event_id)
