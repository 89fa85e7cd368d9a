"""What was seen committed last stands in Redis: bounded, by every worker, and never in the way."""

from typing import TYPE_CHECKING

import pytest
from celery import Celery
from structlog.testing import capture_logs

from deploy.local.ports import free_port
from tests.support.ledger_watch import (
    has_ann,
    told,
    worker_on,
)
from worker.ledger.commit_notes import MAX_COMMITS, Commit
from worker.recovery.broker import BrokerUnavailable
from worker.recovery.witness import COMMITS_KEY

if TYPE_CHECKING:
    import redis


def test_the_record_is_bounded_and_keeps_the_newest(
    database_url: str, redis_url: str, redis_client: "redis.Redis"
) -> None:
    has_ann(database_url)
    with worker_on(database_url, redis_url) as worker:
        worker.settle(480)
        (first,) = worker.notes.take()
        witness = worker.watch._witness  # noqa: SLF001 - the same as the worker's
        later = [
            Commit(
                cashback_id=1_000 + number,
                transaction_type=1,
                event_id=first.event_id,
                transaction_id=1_000 + number,
                seen_at_ms=first.seen_at_ms + 1 + number,
            )
            for number in range(MAX_COMMITS)
        ]

        witness.add([first])
        witness.add(later)

        assert redis_client.zcard(COMMITS_KEY) == MAX_COMMITS
        assert sorted(each.cashback_id for each in witness.newest()) == [each.cashback_id for each in later]


def test_what_somebody_else_wrote_there_is_not_believed(
    database_url: str, redis_url: str, redis_client: "redis.Redis"
) -> None:
    event = "0cc175b9-c0f1-b6a8-31c3-99e269772661"
    bad = [
        "",
        "x",
        f"0:1:{event}:1",
        f"01:1:{event}:1",
        f"{2**63}:1:{event}:1",
        f"1:{2**31}:{event}:1",
        "9" * 500,
    ]
    redis_client.zadd(COMMITS_KEY, dict.fromkeys(bad, 1.0))
    with worker_on(database_url, redis_url) as worker, capture_logs() as logs:
        worker.look()

        assert (told(logs), worker.lost) == ([], 0)


def test_without_redis_nothing_is_forgotten(
    database_url: str, redis_url: str, redis_client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    has_ann(database_url)
    with worker_on(database_url, redis_url) as worker:
        worker.look()
        worker.settle(480, 481)
        with monkeypatch.context() as without:
            away = Celery("away", broker=f"redis://127.0.0.1:{free_port()}/0", set_as_current=False)
            without.setattr(worker.watch._witness, "_pool", away.pool)  # noqa: SLF001 - as if it had gone
            for _ in range(2):
                with pytest.raises(BrokerUnavailable):
                    worker.look()

        worker.settle(482)
        worker.look()

        assert redis_client.zcard(COMMITS_KEY) == 3


def test_what_was_committed_last_is_put_on_record_when_the_watch_ends(
    database_url: str, redis_url: str, redis_client: "redis.Redis"
) -> None:
    has_ann(database_url)
    with worker_on(database_url, redis_url) as worker:
        worker.settle(480)
        worker.watch.start()
        worker.watch.close(timeout_seconds=120)

        assert redis_client.zcard(COMMITS_KEY) == 1
