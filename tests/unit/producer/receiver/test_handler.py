"""The receiver's last line of defence, without a socket."""

import asyncio
import time

import httpx
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import Route
from structlog.testing import capture_logs

from producer.copies.publisher import Publisher
from producer.copies.receipts.recording import Receipts
from producer.copies.redis_client import redis_client
from producer.receiver.backlog import Backlog
from producer.receiver.handler import Receiver
from producer.receiver.http.clients import Clients
from producer.receiver.http.failures import FailedVerifications
from producer.receiver.metrics import ReceiverMetrics
from producer.receiver.pause import IntakePause
from producer.receiver.two_copies import TwoCopies
from producer.shared.settings.receiver import ReceiverSettings
from producer.shared.wiring import build_keys, build_verifier

SETTINGS = ReceiverSettings(
    redis_url="redis://cache.test/0",
    database_url="postgresql://db.test/cashback",
    betcore_url="https://betcore.test",
    token_client_id="PartnerClient-1556",
)


def receiver_with_clock(now_ms: int, metrics: ReceiverMetrics) -> Receiver:
    client = httpx.Client()
    redis = redis_client(SETTINGS, timeout_seconds=1)
    receipts = Receipts(
        SETTINGS.database_url,
        pool_size=1,
        max_waiting=1,
        timeout_seconds=1,
        cutoff_seconds=25,
        deadline_seconds=30,
    )
    return Receiver(
        verifier=build_verifier(
            SETTINGS, keys=build_keys(SETTINGS, client=client, retired_key_seconds=0), client=client
        ),
        copies=TwoCopies(
            receipts=receipts,
            messages=Publisher(redis, timeout_seconds=1, max_waiting=1),
            metrics=metrics,
            timeout_seconds=1,
            cutoff_seconds=25,
            now_ms=lambda: now_ms,
        ),
        backlog=Backlog(
            receipts, longest_wait_seconds=12, cutoff_seconds=25, timeout_seconds=1, clock=time.time
        ),
        pause=IntakePause(receipts),
        metrics=metrics,
        clients=Clients(proxies=(), header="x-forwarded-for"),
        failures=FailedVerifications(per_second=1),
        lookup_timeout_seconds=1,
        max_in_flight=1,
        now_ms=lambda: now_ms,
    )


async def make(receiver: Receiver, body: str) -> httpx.Response:
    app = Starlette(routes=[Route("/make", receiver, methods=["POST"])])
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://receiver.test"
    ) as client:
        return await client.post("/make", content=body)


def test_an_unforeseen_fault_is_answered_503_and_logged_and_frees_its_place() -> None:
    # A clock before 1970 is a fault that no check of the receiver expects.
    metrics = ReceiverMetrics(CollectorRegistry())
    receiver = receiver_with_clock(-1, metrics)

    with capture_logs() as logs:
        replies = [asyncio.run(make(receiver, "a.b.c")) for _ in range(2)]

    for reply in replies:
        assert (reply.status_code, reply.json()["ErrorCode"]) == (503, 102823)
        assert "Retry-After" in reply.headers
    counted = {"outcome": "unavailable", "reason": "internal"}
    assert metrics.registry.get_sample_value("cashback_makes_total", counted) == 2
    assert metrics.registry.get_sample_value("cashback_makes_in_flight") == 0
    assert [(line["event"], line["exc_info"]) for line in logs] == [("make_failed", True)] * 2
