"""What one worker process holds while it runs: connections, keys, threads. Built and closed in one place."""

import random
from dataclasses import dataclass
from typing import Any, Self

import httpx
from psycopg_pool import ConnectionPool

from producer.keys import KeySet
from producer.settings import reveal
from producer.verifier import Verifier
from worker.accept import AcceptClient, BearerSource
from worker.bearer import CachedBearer, StaticBearer, TokenEndpoint
from worker.database import DeadlineConnection, open_pool
from worker.deadline import Backoff
from worker.handler import Handler, Timing
from worker.ledger import Ledger, LedgerPolicy
from worker.marker import AnswerMarker
from worker.metrics import Metrics
from worker.settings import WorkerSettings
from worker.shared_tokens import RedisTokens
from worker.transport import DeadlineTransport

# Beside the task threads: the marker's connection.
_EXTRA_CONNECTIONS = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """The open parts of a worker process."""

    handler: Handler
    marker: AnswerMarker
    keys: KeySet
    pool: ConnectionPool[DeadlineConnection]
    client: httpx.Client
    settings: WorkerSettings

    @classmethod
    def open(cls, settings: WorkerSettings, *, broker_pool: Any) -> Self:  # noqa: ANN401 - kombu has no types
        """Build and start everything. Nothing waits for a server: what is away is found when it is back."""
        metrics = Metrics()
        client = httpx.Client(
            transport=DeadlineTransport(max_connections=settings.concurrency + 1),
            timeout=settings.accept_timeout_seconds,
            follow_redirects=False,
            headers={"User-Agent": "cashback-worker", "Accept": "application/json", "Accept-Encoding": "identity"},
        )
        pool = open_pool(
            settings.database_url,
            size=settings.concurrency + _EXTRA_CONNECTIONS,
            statement_timeout_seconds=settings.database_timeout_seconds,
        )
        ledger = Ledger(pool, policy=_ledger_policy(settings), timeout_seconds=settings.database_timeout_seconds)
        marker = AnswerMarker(ledger, random=random.random)
        keys = _keys(settings, client)
        handler = Handler(
            verifier=_verifier(settings, keys, client),
            ledger=ledger,
            accept=AcceptClient(
                client,
                base_url=settings.betcore_url,
                bearers=_bearers(settings, client, broker_pool),
                timeout_seconds=settings.accept_timeout_seconds,
            ),
            marker=marker,
            timing=Timing(
                cutoff_seconds=settings.credit_cutoff_seconds,
                deadline_seconds=settings.deadline_seconds,
                backoff=Backoff(base_seconds=settings.backoff_base_seconds, cap_seconds=settings.backoff_cap_seconds),
            ),
            cancel_types=settings.cancel_types,
            metrics=metrics,
            random=random.random,
        )
        keys.start()
        marker.start()
        if settings.metrics_port is not None:
            metrics.serve(settings.metrics_port)
        return cls(handler=handler, marker=marker, keys=keys, pool=pool, client=client, settings=settings)

    def close(self) -> None:
        """Write what is still to be written and close everything, in bounded time."""
        self.marker.close(timeout_seconds=self.settings.shutdown_grace_seconds)
        self.keys.close()
        self.pool.close()
        self.client.close()


def _ledger_policy(settings: WorkerSettings) -> LedgerPolicy:
    return LedgerPolicy(
        cutoff_seconds=settings.credit_cutoff_seconds,
        deadline_seconds=settings.deadline_seconds,
        # An attempt that took longer than it may is an attempt of a worker that is gone.
        hold_seconds=settings.accept_timeout_seconds + 1.0,
        withhold_tax=settings.tax == "withhold",
        allow_negative=settings.negative_balance == "allow",
    )


def _bearers(settings: WorkerSettings, client: httpx.Client, broker_pool: Any) -> BearerSource:  # noqa: ANN401
    static = reveal(settings.bearer_token)
    if static is not None:
        return StaticBearer(static)
    credentials = {
        settings.token_id_field: settings.client_id or "",
        settings.token_secret_field: reveal(settings.client_secret) or "",
    }
    endpoint = TokenEndpoint(client, base_url=settings.betcore_url, credentials=credentials)
    shared = RedisTokens(
        broker_pool, name=settings.client_id or "", timeout_seconds=settings.broker_timeout_seconds
    )
    return CachedBearer(endpoint, shared)


def _keys(settings: WorkerSettings, client: httpx.Client) -> KeySet:
    raise NotImplementedError


def _verifier(settings: WorkerSettings, keys: KeySet, client: httpx.Client) -> Verifier:
    raise NotImplementedError
