"""A real worker on real servers, and the messages that no worker can settle."""

import json
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import redis

from cashback_client.contract import QUEUE, RETRY_QUEUE, SettleMessage
from deploy.local.ports import free_port
from deploy.local.postgres import PostgresServer
from deploy.local.processes import ManagedProcess, wait_until
from deploy.local.valkey import ValkeyServer
from producer.copies.publisher import envelope
from tests.support.betcore import CLIENT_ID, cashback, signer
from tests.support.books import add_user, database_of
from tests.support.command import environment
from tests.support.handler_bench import USER, jwks
from tests.support.held import held
from tests.support.raw_betcore import Answering, Peer, by_path, reply, serving
from tests.support.worker_process import wait_until_it_works, worker_process
from worker.queue.transport.held import LEASES, RETURNED

WAIT_SECONDS = 120.0


@dataclass
class Bench:
    """A worker process, the servers that it uses, and a BETCORE that knows key 1."""

    redis_url: str
    database_url: str
    directory: Path
    peer: Peer
    settings: dict[str, str] = field(default_factory=dict)
    workers: list[ManagedProcess] = field(default_factory=list)
    metrics_port: int = 0
    before: str = ""
    """Python that each worker runs first."""

    def start_worker(self, **settings: str) -> ManagedProcess:
        """Start a worker and return it when it consumes."""
        self.metrics_port = free_port()
        merged = {
            "redis_url": self.redis_url,
            "database_url": self.database_url,
            "betcore_url": self.peer.url,
            "bearer_token": "x",
            "token_client_id": CLIENT_ID,
            "concurrency": "4",
            "deadline_seconds": "300",
            "metrics_port": str(self.metrics_port),
        }
        worker = worker_process(
            self.directory,
            environment(**(merged | self.settings | settings)),
            name=f"worker.{len(self.workers) + 1}",
            before=self.before,
        )
        self.workers.append(worker)
        worker.start()
        wait_until_it_works(worker, self.redis_url)
        return worker

    def push(self, entry: bytes, queue: str = QUEUE) -> None:
        """Put bytes onto a queue, as they are."""
        with redis.Redis.from_url(self.redis_url) as client:
            client.lpush(queue, entry)

    def rows(self) -> list[dict[str, Any]]:
        """Return the table, oldest first, read past all of the worker's code."""
        with (
            psycopg.connect(self.database_url, autocommit=True) as connection,
            connection.cursor(row_factory=psycopg.rows.dict_row) as cursor,
        ):
            return cursor.execute("SELECT * FROM quarantine ORDER BY quarantine_id").fetchall()

    def row_of(self, entry: bytes) -> dict[str, Any] | None:
        """Return the row that holds these bytes."""
        return next((row for row in self.rows() if row["message"] == entry), None)

    def wait_for_row(self, entry: bytes) -> dict[str, Any]:
        """Return the row that holds these bytes, once it is there and the queues have let go of it."""
        self.wait(lambda: self.row_of(entry) is not None, "the message is in quarantine")
        self.wait_until_idle()
        row = self.row_of(entry)
        assert row is not None
        return row

    def wait_until_idle(self) -> None:
        """Wait until no message is in a queue or in a worker's hands."""
        with redis.Redis.from_url(self.redis_url) as client:
            self.wait(
                lambda: not client.exists(QUEUE, RETRY_QUEUE, RETURNED) and not held(client),
                "all is acknowledged",
            )

    def unacknowledged(self) -> int:
        """Return how many messages workers have in hand."""
        with redis.Redis.from_url(self.redis_url) as client:
            return held(client)

    def credit(self, cashback_id: int) -> None:
        """Send a good event and wait until BETCORE was told of its success."""
        self.push(good(cashback_id))
        self.wait_for_success(cashback_id)

    def wait_for_success(self, cashback_id: int) -> None:
        """Wait until BETCORE got an accept with 200 for this CashbackId."""
        self.wait(
            lambda: any(
                f'"CashbackId":{cashback_id}' in body and '"ErrorCode":200' in body for body in self.accepts()
            ),
            "BETCORE is told of the success",
        )

    def accepts(self) -> list[str]:
        """Return the bodies of all accepts, without white space."""
        requests = [request for request in self.peer.requests if request.path.endswith("/accept")]
        return ["".join(request.body.decode().split()) for request in requests]

    def end_leases(self) -> None:
        """Let the leases of dead workers have ended, and nobody wait for it."""
        with redis.Redis.from_url(self.redis_url) as client:
            client.zadd(LEASES, dict.fromkeys(map(bytes, client.zrange(LEASES, 0, -1)), 1))

    def counted(self, reason: str) -> float:
        """Return the worker's metric."""
        text = httpx.get(f"http://127.0.0.1:{self.metrics_port}/metrics").text
        prefix = f'cashback_quarantined_total{{reason="{reason}"}} '
        return sum(float(line.removeprefix(prefix)) for line in text.splitlines() if line.startswith(prefix))

    def log(self) -> str:
        """Return what the workers logged."""
        return "\n".join(worker.log_path.read_text("utf-8") for worker in self.workers)

    @staticmethod
    def wait(check: Any, what: str) -> None:  # noqa: ANN401 - a callable
        """Wait for something that is to happen."""
        wait_until(check, what=what, timeout_seconds=WAIT_SECONDS)


@contextmanager
def bench(
    redis_url: str, database_url: str, directory: Path, *, accept: Answering | None = None
) -> Iterator[Bench]:
    """Give the bench on empty servers; its workers are started by the test and killed at the end."""
    with ExitStack() as stack:
        peer = stack.enter_context(serving(by_path(accept=accept or reply(200), jwks=jwks(1))))
        with psycopg.connect(database_url, autocommit=True) as connection:
            add_user(connection, USER)
        made = Bench(redis_url, database_url, directory, peer)
        try:
            yield made
        finally:
            for worker in made.workers:
                worker.kill()


@contextmanager
def bench_of_a_module(
    valkey: ValkeyServer,
    postgres: PostgresServer,
    template: str,
    directory: Path,
    *,
    accept: Answering | None = None,
) -> Iterator[Bench]:
    """Give the bench to all tests of a module, with a database of its own and an empty Redis."""
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
    with (
        database_of(postgres, template) as database_url,
        bench(valkey.url, database_url, directory, accept=accept) as made,
    ):
        yield made


def token(cashback_id: int = 480, *, key: int = 1, **overrides: object) -> str:
    """Return a token that was signed just now."""
    return signer(key).token(at=time.time(), data=cashback(cashback_id), **overrides)


def message(token: str) -> dict[str, Any]:
    """Return the arguments of cashback.settle."""
    return SettleMessage(token=token, received_at_ms=int(time.time() * 1000)).model_dump()


def entry(made: dict[str, Any]) -> bytes:
    """Return an envelope as a sender would write it, and not as this program would."""
    return json.dumps(made, indent=1).encode()


def settle(
    body: object = None, *, headers: dict[str, Any] | None = None, replaced: dict[str, Any] | None = None
) -> bytes:
    """Return an entry that is good but for its body (JSON, or bytes), these headers, these members."""
    made = envelope(
        SettleMessage(token=token(), received_at_ms=int(time.time() * 1000)),
        summary="",
        origin="test",
        delivery_tag=str(uuid4()),
    )
    made["headers"] |= headers or {}
    if body is not None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        made["body"] = b64encode(content).decode()
    return entry(made | (replaced or {}))


def good(cashback_id: int) -> bytes:
    """Return the entry of an event that can be credited."""
    return settle([[], message(token(cashback_id)), None])
