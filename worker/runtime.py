"""What one worker process holds while it runs: connections, keys, threads. Built and closed in one place."""

import os
import random
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Self

import httpx
import uvloop
from celery import Celery
from psycopg_pool import ConnectionPool

from cashback_client.contract import OWN_PRODUCER, QUEUE, RETRY_QUEUE
from producer.protocol.keys import KeySet
from producer.shared.outgoing import Caller
from producer.shared.redis.processes import ProcessRecord
from producer.shared.settings.environment import reveal
from producer.shared.wiring import betcore_client, build_keys, build_verifier
from worker.betcore.accept import AcceptClient, BearerSource
from worker.betcore.bearer import CachedBearer
from worker.betcore.shared_tokens import RedisTokens
from worker.betcore.static_bearer import StaticBearer
from worker.betcore.token_endpoint import TokenEndpoint
from worker.domain.deadline import Backoff
from worker.handling.answering import AFTERWARDS_THREADS, Answering
from worker.handling.handler import Handler, Timing
from worker.ledger.answered_marks import AnsweredMarks
from worker.ledger.database import Database, DeadlineConnection, open_pool
from worker.ledger.group_commit import GroupCommitLedger
from worker.ledger.ledger import OVERDUE_SECONDS, LedgerPolicy
from worker.ledger.wholeness import Wholeness
from worker.metrics import Metrics
from worker.quarantine.writer import Quarantine, QuarantineStore
from worker.queue.transport.held import HELD, LEASES, RETURNED
from worker.queue.unread_lists import LOOK_SECONDS, UnreadLists
from worker.recovery.broker import CeleryBroker, WorkersKeys
from worker.recovery.ledger_watch import LedgerWatch
from worker.recovery.overdue import OverdueReceipts
from worker.recovery.queue_watch import Consumption, QueueWatch
from worker.recovery.retention import SECONDS_PER_DAY, Keep, Retention
from worker.recovery.rewind import Rewinds
from worker.recovery.snapshots import SnapshotWatch
from worker.recovery.standbys import Standbys
from worker.recovery.sweep_log import SweepLog
from worker.recovery.sweeper import Sweeper
from worker.recovery.upkeep import Job, Upkeep, tell_of_process, upkeep_jobs
from worker.recovery.witness import RedisWitness
from worker.replay.sender import Replays
from worker.replay.store import ReplayStore
from worker.settings import WorkerSettings

# Beside the task threads: the answered marks, the sweeper, the quarantine and the ledger watch have one each.
# What follows from BETCORE's answers has its own: it waits for no settlement, and none for it.
_EXTRA_CONNECTIONS: Final = 4 + AFTERWARDS_THREADS
# Of the deadline: a Token endpoint that hangs is asked again while there is time.
_TOKEN_SHARE: Final = 0.25
THREADS: Final = ("answered-marks", "quarantine", "ledger-watch", "betcore-keys", "answering")
"""The names of the threads that run from `open` to `close`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """The open parts of a worker process."""

    handler: Handler
    answering: Answering
    answered_marks: AnsweredMarks
    bearers: BearerSource
    sweeper: Sweeper
    ledger_watch: LedgerWatch
    quarantine: Quarantine
    keys: KeySet
    pool: ConnectionPool[DeadlineConnection]
    client: httpx.Client
    settings: WorkerSettings

    @classmethod
    def open(cls, settings: WorkerSettings, app: Celery, consumption: Consumption) -> Self:
        """Build and start everything. Nothing waits for a server: what is away is found when it is back."""
        metrics = Metrics((OWN_PRODUCER, *settings.partners))
        client = betcore_client()
        pool = open_pool(
            settings.database_url,
            size=settings.concurrency + _EXTRA_CONNECTIONS,
            statement_timeout_seconds=settings.database_timeout_seconds,
        )
        ledger = GroupCommitLedger(
            pool, policy=_ledger_policy(settings), timeout_seconds=settings.database_timeout_seconds
        )
        answered_marks = AnsweredMarks(ledger, random=random.random)
        # An event that was received under the old key may be settled for as long as it has time.
        keys = build_keys(settings, client=client, retired_key_seconds=settings.deadline_seconds)
        handler = Handler(
            verifier=build_verifier(
                settings, keys=keys, client=client, lookups_at_once=settings.lookups_at_once
            ),
            ledger=ledger,
            answered_marks=answered_marks,
            timing=_timing(settings),
            cancel_types=settings.cancel_types,
            metrics=metrics,
            random=random.random,
        )
        bearers = _bearers(settings, client, app, metrics)
        answering = Answering(
            handler=handler,
            accept=AcceptClient(Caller(), base_url=settings.betcore_url, bearers=bearers),
            max_in_flight=settings.accepts_in_flight,
            worker=f"{socket.gethostname()}:{os.getpid()}",
            loop_factory=uvloop.new_event_loop,
        )
        database = Database(pool, timeout_seconds=settings.database_timeout_seconds)
        runtime = cls(
            handler=handler,
            answering=answering,
            answered_marks=answered_marks,
            bearers=bearers,
            sweeper=_sweeper(settings, _queue_watch(settings, app, consumption), answering, database, keys),
            ledger_watch=_ledger_watch(settings, app, handler, pool),
            quarantine=Quarantine(QuarantineStore(database), registry=metrics.registry, random=random.random),
            keys=keys,
            pool=pool,
            client=client,
            settings=settings,
        )
        runtime._start()
        return runtime

    def _start(self) -> None:
        for part in (self.keys, self.answered_marks, self.answering, self.quarantine, self.ledger_watch):
            part.start()

    def close(self) -> None:
        """Write what is still to be written and close everything, in bounded time."""
        self.sweeper.close()
        # The consumer has closed it by now; where there was none, this does.
        self.answering.close(timeout_seconds=0)
        self.bearers.close()
        self.quarantine.close(timeout_seconds=self.settings.database_timeout_seconds)
        self.answered_marks.close(timeout_seconds=self.settings.shutdown_grace_seconds)
        self.ledger_watch.close(timeout_seconds=self.settings.database_timeout_seconds)
        self.keys.close()
        self.pool.close()
        self.client.close()


def _timing(settings: WorkerSettings) -> Timing:
    return Timing(
        cutoff_seconds=settings.credit_cutoff_seconds,
        deadline_seconds=settings.deadline_seconds,
        hold_seconds=settings.accept_timeout_seconds,
        backoff=Backoff(base_seconds=settings.backoff_base_seconds, cap_seconds=settings.backoff_cap_seconds),
    )


def _queue_watch(settings: WorkerSettings, app: Celery, consumption: Consumption) -> QueueWatch:
    broker = CeleryBroker(
        app,
        keys=WorkersKeys(leases=LEASES, held_prefix=HELD, returned=RETURNED),
        timeout_seconds=settings.broker_timeout_seconds,
    )
    return QueueWatch(broker, consumption, queues=(QUEUE, RETRY_QUEUE, RETURNED))


def _sweeper(
    settings: WorkerSettings,
    queue_watch: QueueWatch,
    answering: Answering,
    database: Database,
    keys: KeySet,
) -> Sweeper:
    handler = answering.handler
    hold_seconds = settings.accept_timeout_seconds + OVERDUE_SECONDS
    overdue = OverdueReceipts(
        database,
        limit=settings.sweep_limit,
        hold_seconds=hold_seconds,
        # Within one hold of its cut-off an event is sent on whatever waits before it, and so just once.
        hurry_seconds=hold_seconds,
        cutoff_seconds=settings.credit_cutoff_seconds,
    )
    jobs = upkeep_jobs(
        overdue,
        SnapshotWatch(database, handler.metrics, warn_seconds=settings.snapshot_warning_seconds),
        Standbys(database, handler.metrics),
        Wholeness(database, on_look=handler.metrics.missing_parts.set),
        handler.metrics.unconfirmed,
    )
    lists = UnreadLists(queue_watch.broker.ask, handler.metrics, partners=settings.partners)
    jobs.append(Job(name="look_at_lists", every_seconds=LOOK_SECONDS, run=lists.look))
    jobs.append(tell_of_process(queue_watch.broker, ProcessRecord.of("worker", settings), keys))
    return Sweeper(
        overdue=overdue,
        upkeep=Upkeep(jobs, monotonic=time.monotonic),
        replays=Replays(ReplayStore(database), answering, random=random.random),
        retention=Retention(
            database, QuarantineStore(database), keep=_keep(settings), monotonic=time.monotonic
        ),
        broker=queue_watch.broker,
        queue_watch=queue_watch,
        answering=answering,
        executor=ThreadPoolExecutor(settings.concurrency, thread_name_prefix="direct-settlement"),
        log=SweepLog(handler.metrics),
        interval_seconds=settings.sweep_interval_seconds,
        random=random.random,
        partners=tuple(settings.partners),
    )


def _ledger_watch(
    settings: WorkerSettings, app: Celery, handler: Handler, pool: ConnectionPool[DeadlineConnection]
) -> LedgerWatch:
    witness = RedisWitness(app.pool, timeout_seconds=settings.broker_timeout_seconds)
    database = Database(pool, timeout_seconds=settings.database_timeout_seconds)
    return LedgerWatch(
        notes=handler.commit_notes,
        witness=witness,
        rewinds=Rewinds(database, witness, handler.metrics),
        connections_made=lambda: pool.get_stats().get("connections_num", 0),
        random=random.random,
    )


def _keep(settings: WorkerSettings) -> Keep:
    return Keep(
        receipts_seconds=settings.receipt_retention_days * SECONDS_PER_DAY,
        tokens_seconds=settings.token_retention_days * SECONDS_PER_DAY,
        quarantine_seconds=settings.quarantine_retention_days * SECONDS_PER_DAY,
        quarantine_rows=settings.quarantine_rows,
    )


def _ledger_policy(settings: WorkerSettings) -> LedgerPolicy:
    return LedgerPolicy(
        cutoff_seconds=settings.credit_cutoff_seconds,
        deadline_seconds=settings.deadline_seconds,
        withhold_tax=settings.tax == "withhold",
        allow_negative=settings.negative_balance == "allow",
        cancel_blocked=settings.cancel_blocked == "allow",
    )


def _bearers(settings: WorkerSettings, client: httpx.Client, app: Celery, metrics: Metrics) -> BearerSource:
    static = reveal(settings.bearer_token)
    if static is not None:
        return StaticBearer(static)
    name, secret = settings.client_id or "", reveal(settings.client_secret) or ""
    endpoint = TokenEndpoint(
        client,
        base_url=settings.betcore_url,
        credentials={settings.token_id_field: name, settings.token_secret_field: secret},
        timeout_seconds=_TOKEN_SHARE * settings.deadline_seconds,
    )
    shared = RedisTokens(app.pool, name=name, secret=secret, timeout_seconds=settings.broker_timeout_seconds)
    return CachedBearer(endpoint, shared, metrics=metrics, random=random.random)
