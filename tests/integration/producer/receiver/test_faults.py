"""One copy's unforeseen fault does not undo the other: a receiver with one part that is broken."""

import asyncio
import time
from dataclasses import dataclass
from typing import NoReturn

import httpx
import psycopg
import pytest
import redis
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import Route

from cashback_client.contract import QUEUE
from producer.copies.publisher import Publisher
from producer.copies.receipts.recording import Receipts
from producer.copies.redis_client import redis_client
from producer.receiver.backlog import Backlog
from producer.receiver.handler import Receiver, unix_ms
from producer.receiver.http.clients import Clients
from producer.receiver.http.failures import FailedVerifications
from producer.receiver.metrics import ReceiverMetrics
from producer.receiver.pause import IntakePause
from producer.receiver.two_copies import TwoCopies
from producer.shared.settings.receiver import ReceiverSettings
from producer.shared.wiring import build_keys, build_verifier
from tests.support.betcore import CLIENT_ID, Endpoints, served, signer


class BrokenReceipts(Receipts):
    """A copy whose fault nobody foresaw."""

    def record(self, *_: object) -> NoReturn:
        raise RuntimeError("no receipt")


class BrokenPublisher(Publisher):
    """A copy whose fault nobody foresaw."""

    def publish(self, *_: object) -> NoReturn:
        raise RuntimeError("no message")


async def answer_of(
    receipts_class: type[Receipts],
    publisher_class: type[Publisher],
    settings: ReceiverSettings,
    metrics: ReceiverMetrics,
) -> httpx.Response:
    """Send one make to a receiver of these parts."""
    redis_pool = redis_client(settings, timeout_seconds=60)
    receipts = receipts_class(
        settings.database_url,
        pool_size=1,
        max_waiting=1,
        timeout_seconds=60,
        cutoff_seconds=25,
        deadline_seconds=30,
    )
    publisher = publisher_class(redis_pool, timeout_seconds=60, max_waiting=1)
    with httpx.Client() as client:
        keys = build_keys(settings, client=client, retired_key_seconds=0)
        await asyncio.to_thread(keys.fetch)
        receiver = Receiver(
            verifier=build_verifier(settings, keys=keys, client=client),
            copies=TwoCopies(
                receipts=receipts,
                messages=publisher,
                metrics=metrics,
                timeout_seconds=60,
                cutoff_seconds=25,
                now_ms=unix_ms,
            ),
            backlog=Backlog(
                receipts, longest_wait_seconds=12, cutoff_seconds=25, timeout_seconds=60, clock=time.time
            ),
            pause=IntakePause(receipts),
            metrics=metrics,
            clients=Clients(proxies=(), header="x-forwarded-for"),
            failures=FailedVerifications(per_second=10_000),
            lookup_timeout_seconds=60,
            max_in_flight=1,
        )
        app = Starlette(routes=[Route("/make", receiver, methods=["POST"])])
        await receipts.open()
        try:
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://receiver.test"
            ) as sender:
                return await sender.post("/make", content=signer(1).token(at=time.time()))
        finally:
            await receiver.close(timeout_seconds=60)
            await receipts.close()
            await publisher.close()


@dataclass(frozen=True)
class Parts:
    """What a receiver is made of, and what comes of a make that it gets."""

    receipts_class: type[Receipts]
    publisher_class: type[Publisher]
    status: int
    receipts: int
    messages: int


@pytest.mark.parametrize(
    "parts",
    [
        Parts(Receipts, BrokenPublisher, 200, 1, 0),
        Parts(BrokenReceipts, Publisher, 200, 0, 1),
        Parts(BrokenReceipts, BrokenPublisher, 503, 0, 0),
    ],
    ids=lambda parts: f"{parts.receipts_class.__name__}-{parts.publisher_class.__name__}",
)
def test_the_copy_that_can_be_made_is_made_and_decides(
    redis_url: str, database_url: str, parts: Parts
) -> None:
    betcore = Endpoints()
    betcore.publish(signer(1))
    metrics = ReceiverMetrics(CollectorRegistry())
    with served(betcore) as betcore_url:
        settings = ReceiverSettings(
            redis_url=redis_url, database_url=database_url, betcore_url=betcore_url, token_client_id=CLIENT_ID
        )
        reply = asyncio.run(answer_of(parts.receipts_class, parts.publisher_class, settings, metrics))

    assert reply.status_code == parts.status
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM receipts").fetchone() == (parts.receipts,)
    with redis.Redis.from_url(redis_url) as client:
        assert client.llen(QUEUE) == parts.messages
    for kind, made in (("receipt", parts.receipts), ("message", parts.messages)):
        counted = {"kind": kind, "result": "ok" if made else "error"}
        assert metrics.registry.get_sample_value("cashback_copies_total", counted) == 1
