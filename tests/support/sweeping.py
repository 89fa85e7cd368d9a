"""A sweeper on real parts, with the broker that a test gives it, and events whose message was lost."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from cashback_client.contract import SettleMessage
from tests.support.betcore import cashback
from tests.support.books import pool_of
from tests.support.handler_bench import Bench
from worker.ledger.database import Database
from worker.metrics import Metrics
from worker.quarantine.writer import QuarantineStore
from worker.recovery.broker import Broker
from worker.recovery.overdue import OverdueReceipts
from worker.recovery.queue_watch import Consumption, QueueWatch
from worker.recovery.retention import Keep, Retention
from worker.recovery.sweep_log import SweepLog
from worker.recovery.sweeper import Sweeper
from worker.recovery.upkeep import Upkeep
from worker.replay.sender import Replays
from worker.replay.store import ReplayStore


@contextmanager
def sweeping(  # noqa: PLR0913 - what a test may want to be otherwise, keyword-only
    at: Bench,
    database_url: str,
    broker: Broker,
    *,
    limit: int = 10,
    queue_watch: QueueWatch | None = None,
    partners: Sequence[str] = (),
    hurry_seconds: float = 5.0,
) -> Iterator[Sweeper]:
    with pool_of(database_url) as pool, ThreadPoolExecutor(2) as executor:
        database = Database(pool, timeout_seconds=30)
        yield Sweeper(
            overdue=OverdueReceipts(
                database, limit=limit, hold_seconds=60.0, hurry_seconds=hurry_seconds, cutoff_seconds=600.0
            ),
            retention=Retention(
                database,
                QuarantineStore(database),
                keep=Keep(
                    receipts_seconds=1e6, tokens_seconds=1e6, quarantine_seconds=1e6, quarantine_rows=10
                ),
                monotonic=time.monotonic,
            ),
            upkeep=Upkeep([], monotonic=time.monotonic),
            replays=Replays(ReplayStore(database), at.answering, random=lambda: 0.5),
            broker=broker,
            # By default the worker can take from the queue, at any time.
            queue_watch=queue_watch or QueueWatch(broker, Consumption(monotonic=lambda: 0.0), queues=()),
            answering=at.answering,
            executor=executor,
            log=SweepLog(Metrics()),
            interval_seconds=0.01,
            random=lambda: 0.5,
            partners=partners,
        )


def overdue_message(
    at: Bench, cashback_id: int, *, producer: str | None = None, age_seconds: float = 0.0
) -> SettleMessage:
    """Return a make whose receipt is there and overdue: its message was lost."""
    message = at.message(cashback(cashback_id), age_seconds=age_seconds)
    at.connection.execute(
        "SELECT record_receipt(%s, %s, %s, %s, 600, 900, -1, %s)",
        (message.event_id, message.token, cashback_id, message.received_at, producer),
    )
    return message
