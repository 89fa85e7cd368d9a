"""A receiver that really runs: the whole application under its own server on a port of its own."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import redis
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.ports import free_port
from deploy.local.postgres import PostgresServer
from deploy.local.processes import wait_until
from deploy.local.valkey import ValkeyServer
from producer.app import MAKE_PATH, build_app
from producer.receiver.health import FRESH_SECONDS
from producer.server import Server, limits_of
from producer.shared.settings.receiver import ReceiverSettings
from tests.support.betcore import CLIENT_ID, Endpoints, Signer, served, signer
from tests.support.books import database_of
from tests.support.roles import as_role
from worker.schema.roles import RECEIVER


@dataclass(frozen=True)
class RunningReceiver:
    """A receiver, its client, and the BETCORE that it believes."""

    client: httpx.Client
    betcore: Endpoints
    signer: Signer

    def make(self, body: str | bytes) -> httpx.Response:
        """Send a make with this body."""
        return self.client.post(MAKE_PATH, content=body, headers={"Content-Type": "application/json"})

    def make_event(self, data: object = None, **claims: object) -> httpx.Response:
        """Send a make that BETCORE signed just now."""
        return self.make(json.dumps(self.token(data, **claims)))

    def token(self, data: object = None, **claims: object) -> str:
        """Return a token that BETCORE signed just now."""
        return self.signer.token(at=time.time(), data=data, **claims)

    def is_ready(self) -> bool:
        """Ask /readyz."""
        return self.client.get("/readyz").status_code == httpx.codes.OK

    def ready_anew(self) -> httpx.Response:
        """Ask /readyz when what it has found before is forgotten."""
        time.sleep(FRESH_SECONDS)
        return self.client.get("/readyz")

    def metric(self, name: str, **labels: str) -> float:
        """Return a sample of /metrics, 0 where there is none yet."""
        for family in text_string_to_metric_families(self.client.get("/metrics").text):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return float(sample.value)
        return 0.0


# Whoever a test gives a key is one of them.
PARTNERS = "edge,mobile,poor"


@contextmanager
def running_receiver(
    *, redis_url: str, database_url: str, published: bool = True, ready: bool = True, **settings: object
) -> Iterator[RunningReceiver]:
    """Run a receiver against these servers, with its role, and a BETCORE of its own."""
    betcore = Endpoints()
    if published:
        betcore.publish(signer(1))
    with served(betcore) as betcore_url:
        urls = {
            "redis_url": redis_url,
            "database_url": as_role(database_url, RECEIVER),
            "betcore_url": betcore_url,
        }
        # On a slow machine, too, each copy is made unless something is in its way.
        believed = {"token_client_id": CLIENT_ID, "partners": PARTNERS}
        patient = {
            "copy_timeout_seconds": 20,
            "jwks_timeout_seconds": 20,
            # Many tests send what is refused, all from one address.
            "failed_verifications_per_second": 10_000,
        }
        values = urls | believed | patient | settings
        with (
            _server(ReceiverSettings.model_validate(values)) as url,
            httpx.Client(base_url=url, timeout=120) as client,
        ):
            receiver = RunningReceiver(client, betcore, signer(1))
            if ready:
                wait_until(receiver.is_ready, what="the receiver is ready", timeout_seconds=120)
            yield receiver


@contextmanager
def receiver_of_a_module(
    valkey: ValkeyServer, postgres: PostgresServer, template: str, **settings: object
) -> Iterator[RunningReceiver]:
    """Run a receiver for many tests, with a database of its own."""
    # What another test left in the queue would look like a backlog.
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
    with (
        database_of(postgres, template) as database_url,
        running_receiver(redis_url=valkey.url, database_url=database_url, **settings) as running,  # type: ignore[arg-type]
    ):
        yield running


@contextmanager
def _server(settings: ReceiverSettings) -> Iterator[str]:
    port = free_port()
    server = Server(build_app(settings), limits_of(settings))
    thread = threading.Thread(
        target=server.run, kwargs={"port": port, "inner_port": settings.inner_port}, name="receiver"
    )
    thread.start()
    try:
        wait_until(
            lambda: server.has_started or not thread.is_alive(),
            what="uvicorn has started",
            timeout_seconds=120,
        )
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()
        thread.join(timeout=120)
        assert not thread.is_alive(), "the receiver does not end"
