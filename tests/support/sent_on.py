"""Overdue events on a real ledger and a real Valkey, and the messages that there are of each."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import redis
from celery import Celery

from cashback_client.contract import QUEUE, RETRY_QUEUE, SettleMessage
from cashback_client.envelope import EntryWriter, message_in
from tests.support.betcore import cashback
from tests.support.books import payout
from tests.support.handler_bench import USER, Bench, bench
from tests.support.holder_bench import Worker
from tests.support.raw_betcore import reply
from tests.support.sweeping import overdue_message, sweeping
from worker.app import celery_configuration
from worker.ledger.ledger import VerifiedEvent
from worker.queue.transport.held import HELD, LEASES, RETURNED
from worker.recovery.broker import CeleryBroker, WorkersKeys
from worker.recovery.queue_watch import Consumption, QueueWatch
from worker.recovery.sweeper import Sweeper
from worker.settings import WorkerSettings

WORKERS_KEYS = WorkersKeys(leases=LEASES, held_prefix=HELD, returned=RETURNED)
_WRITER = EntryWriter(origin="test", sender="test")


def entry_of(message: SettleMessage) -> bytes:
    """Return what the receiver puts onto the queue."""
    return _WRITER.entry(message, event_id=message.event_id, summary="")


def app_on(redis_url: str) -> Celery:
    """Return a Celery app with the worker's configuration."""
    settings = WorkerSettings(
        redis_url=redis_url,
        database_url="postgresql://db.test/x",
        betcore_url="https://betcore.test",
        token_client_id="PartnerClient-1556",
        bearer_token="x",
    )
    app = Celery("broker-test", set_as_current=False)
    app.conf.update(celery_configuration(settings))
    return app


@dataclass
class Recovery:
    """A sweeper, the servers that it works with, and what the test does beside it."""

    at: Bench
    sweeper: Sweeper
    broker: CeleryBroker
    client: redis.Redis

    def received(
        self, cashback_id: int, *, producer: str | None = None, age_seconds: float = 0.0
    ) -> SettleMessage:
        """Receive an event whose receipt is overdue; there is no message of it."""
        return overdue_message(self.at, cashback_id, producer=producer, age_seconds=age_seconds)

    def settled(self, cashback_id: int) -> SettleMessage:
        """Receive an event and credit it; its answer is still to be sent, and there is no message of it."""
        message = self.at.message(cashback(cashback_id))
        event = VerifiedEvent(
            event_id=message.event_id,
            token=message.token,
            cashback_id=cashback_id,
            received_at=message.received_at,
        )
        self.at.handler.ledger.settle(event, payout(cashback_id, USER, "1"))
        return message

    def wait(self, message: SettleMessage, queue: str = QUEUE) -> None:
        """Put the event's message onto a queue of fresh ones."""
        self.client.lpush(queue, entry_of(message))

    def worker(self) -> Worker:
        """Return a worker that takes what was sent on and what was given back."""
        return Worker(self.client, RETRY_QUEUE)

    def all_overdue(self) -> None:
        """Let so much time have passed that every event that is open is overdue."""
        self.at.connection.execute(
            "UPDATE receipts SET next_attempt_at = clock_timestamp() WHERE state IN ('received', 'settled')"
        )

    def messages(self) -> Counter[UUID]:
        """Return how many messages there are of each event, on the lists and in hand."""
        client: Any = self.client
        raws = [raw for name in (QUEUE, RETRY_QUEUE) for raw in client.lrange(name, 0, -1)]
        raws += [raw.partition(b"\n")[2] for raw in client.lrange(RETURNED, 0, -1)]
        for key in client.scan_iter(f"{HELD}*"):
            raws += client.hvals(key)
        messages = [message_in(raw) for raw in raws]
        return Counter(message.event_id for message in messages if message is not None)


class Clock:
    """A monotonic clock that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def recovery(  # noqa: PLR0913 - what a test may want to be otherwise, keyword-only
    database_url: str,
    redis_url: str,
    *,
    limit: int = 1_000,
    clock: Clock | None = None,
    partners: Sequence[str] = (),
    hurry_seconds: float = 5.0,
) -> Iterator[Recovery]:
    """Give a sweeper on both servers, whose worker can take from the queue for a second of the clock."""
    broker = CeleryBroker(app_on(redis_url), keys=WORKERS_KEYS, timeout_seconds=60)
    clock = clock or Clock()
    queues = (QUEUE, RETRY_QUEUE, RETURNED)
    watch = QueueWatch(broker, Consumption(monotonic=clock), queues=queues, monotonic=clock)
    with (
        bench(database_url, reply(200)) as at,
        sweeping(
            at,
            database_url,
            broker,
            limit=limit,
            queue_watch=watch,
            partners=partners,
            hurry_seconds=hurry_seconds,
        ) as sweeper,
        redis.Redis.from_url(redis_url) as client,
    ):
        yield Recovery(at, sweeper, broker, client)
    broker.close()
