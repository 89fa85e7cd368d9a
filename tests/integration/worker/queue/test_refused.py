"""Redis is there, and refuses the worker what it needs to take messages; a real worker, real servers."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import redis

from cashback_client.contract import QUEUE, SettleMessage
from cashback_client.envelope import EntryWriter
from tests.support import bad_messages
from tests.support.bad_messages import Bench, good, token

_WRITER = EntryWriter(origin="test", sender=str(uuid4()))


@pytest.fixture
def bench(redis_url: str, database_url: str, tmp_path: Path) -> Iterator[Bench]:
    with bad_messages.bench(redis_url, database_url, tmp_path) as made:
        yield made


@contextmanager
def refusing(bench: Bench, rights: str) -> Iterator[None]:
    """Take rights from everybody, until the end of the block."""
    with redis.Redis.from_url(bench.redis_url) as client:
        client.execute_command("ACL", "SETUSER", "default", rights)
        try:
            yield
        finally:
            client.execute_command("ACL", "SETUSER", "default", "+@all")


def receive(bench: Bench, cashback_id: int) -> None:
    """Make both copies of an event, as the receiver does."""
    message = SettleMessage(token=token(cashback_id), received_at_ms=int(time.time() * 1000))
    with psycopg.connect(bench.database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT record_receipt(%s, %s, %s, %s, 250, 300, 3)",
            (message.event_id, message.token, cashback_id, message.received_at),
        )
    bench.push(_WRITER.entry(message, event_id=message.event_id, summary=""))


def test_a_worker_that_may_not_wait_at_the_queue_asks_again_and_again(bench: Bench) -> None:
    bench.start_worker()
    bench.credit(1)
    with refusing(bench, "-@blocking"):
        for cashback_id in range(2, 12):
            bench.credit(cashback_id)

    bench.credit(12)
    assert len(bench.accepts()) == 12
    assert "Connection to broker lost" not in bench.log()
    assert bench.log().count("waiting_not_allowed") == 1


def test_events_are_answered_though_no_worker_can_take_them_and_the_queue_serves_again_afterwards(
    bench: Bench,
) -> None:
    bench.start_worker()
    bench.credit(1)
    with refusing(bench, "-@scripting"):
        bench.wait(lambda: "NoPermissionError" in bench.log(), "the worker has asked in vain")
        for cashback_id in range(2, 6):
            receive(bench, cashback_id)
        for cashback_id in range(2, 6):
            bench.wait_for_success(cashback_id)
        with redis.Redis.from_url(bench.redis_url) as client:
            assert client.llen(QUEUE) == 4
        assert "nobody_empties_it" in bench.log()

    bench.push(good(6))
    bench.wait_for_success(6)
    bench.wait_until_idle()
    # What was answered already is answered from its receipt.
    assert len(bench.accepts()) == 6
