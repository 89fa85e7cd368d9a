"""The thread that writes the rows: it outlives what fails, and lets go of a message only after its row."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from queue import Empty, Queue

import psycopg
import pytest
from prometheus_client import CollectorRegistry

from cashback_client.contract import QUEUE
from deploy.local.postgres import PostgresServer
from tests.support.books import pool_of
from worker.ledger.database import Database
from worker.quarantine.description import Description, describe_bytes
from worker.quarantine.writer import Quarantine, QuarantineStore

WAIT_SECONDS = 120.0


@contextmanager
def writer_on(
    database_url: str, registry: CollectorRegistry, *, timeout_seconds: float = 30.0
) -> Iterator[Quarantine]:
    with pool_of(database_url, timeout_seconds=timeout_seconds) as pool:
        store = QuarantineStore(Database(pool, timeout_seconds=timeout_seconds))
        quarantine = Quarantine(store, registry=registry, random=lambda: 0.5)
        quarantine.start()
        try:
            yield quarantine
        finally:
            quarantine.close(timeout_seconds=WAIT_SECONDS)


def garbage(text: bytes) -> Description:
    return describe_bytes(text, reason="unreadable", detail="", queue=QUEUE)


def kept(database_url: str) -> list[bytes]:
    with psycopg.connect(database_url) as connection:
        return [row[0] for row in connection.execute("SELECT message FROM quarantine ORDER BY 1")]


def test_a_message_is_let_go_of_after_its_row_is_committed_and_counted(database_url: str) -> None:
    seen: Queue[tuple[list[bytes], float | None]] = Queue()
    registry = CollectorRegistry()

    def let_go() -> None:
        counted = registry.get_sample_value("cashback_quarantined_total", {"reason": "unreadable"})
        seen.put((kept(database_url), counted))

    with writer_on(database_url, registry) as quarantine:
        quarantine.keep(garbage(b"a"), then=let_go)
        assert seen.get(timeout=WAIT_SECONDS) == ([b"a"], 1.0)


def test_a_message_that_cannot_be_written_keeps_no_other_from_it_and_is_never_let_go_of(
    database_url: str,
) -> None:
    let_go: Queue[str] = Queue()
    impossible = replace(garbage(b"a"), queue="")  # the table refuses it

    with writer_on(database_url, CollectorRegistry()) as quarantine:
        quarantine.keep(impossible, then=lambda: let_go.put("impossible"))
        quarantine.keep(garbage(b"b"), then=lambda: let_go.put("b"))
        quarantine.keep(garbage(b"c"), then=lambda: let_go.put("c"))
        assert {let_go.get(timeout=WAIT_SECONDS) for _ in range(2)} == {"b", "c"}

    assert (kept(database_url), let_go.empty()) == ([b"b", b"c"], True)


@pytest.mark.parametrize(
    "surprise", [replace(garbage(b"a"), headers={"x": {1}}), replace(garbage(b"a"), detail="\ud800")]
)
def test_a_surprise_does_not_end_the_thread(database_url: str, surprise: Description) -> None:
    let_go: Queue[str] = Queue()

    with writer_on(database_url, CollectorRegistry()) as quarantine:
        quarantine.keep(surprise, then=lambda: let_go.put("surprise"))
        quarantine.keep(garbage(b"b"), then=lambda: let_go.put("b"))
        assert let_go.get(timeout=WAIT_SECONDS) == "b"


def test_an_acknowledgement_that_fails_does_not_end_the_thread(database_url: str) -> None:
    let_go: Queue[str] = Queue()

    def fail() -> None:
        raise OSError("the connection is gone")

    with writer_on(database_url, CollectorRegistry()) as quarantine:
        quarantine.keep(garbage(b"a"), then=fail)
        quarantine.keep(garbage(b"b"), then=lambda: let_go.put("b"))
        assert let_go.get(timeout=WAIT_SECONDS) == "b"

    assert kept(database_url) == [b"a", b"b"]


def test_a_row_whose_commit_was_not_answered_is_written_once(
    database_url: str, postgres_server: PostgresServer
) -> None:
    let_go: Queue[str] = Queue()

    with writer_on(database_url, CollectorRegistry(), timeout_seconds=1.5) as quarantine:
        quarantine.keep(garbage(b"b"), then=lambda: let_go.put("b"))
        assert let_go.get(timeout=WAIT_SECONDS) == "b"
        postgres_server.freeze()
        try:
            quarantine.keep(garbage(b"a"), then=lambda: let_go.put("a"))
            with pytest.raises(Empty):
                let_go.get(timeout=3)
        finally:
            postgres_server.thaw()
        assert let_go.get(timeout=WAIT_SECONDS) == "a"

    assert kept(database_url) == [b"a", b"b"]
