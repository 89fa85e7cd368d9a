"""A real worker is killed while BETCORE has its accept: the next one sends it, and the command is told."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from cashback_client.contract import SettleMessage
from tests.support import bad_messages, command
from tests.support.bad_messages import Bench
from tests.support.books import ledger_on, payout
from tests.support.handler_bench import USER
from tests.support.raw_betcore import Peer, Request, reply
from tests.support.replays import books
from tests.support.roles import as_role
from worker.domain.settlement import State
from worker.ledger.ledger import VerifiedEvent
from worker.schema.roles import OPERATOR

_POLL_SECONDS = 0.02


class Held:
    """A BETCORE that answers no accept until it is told to."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def __call__(self, peer: Peer, connection: socket.socket, request: Request) -> None:
        while not self.released.wait(_POLL_SECONDS) and not peer.closing.is_set():
            pass
        reply(200)(peer, connection, request)


@pytest.fixture
def betcore() -> Held:
    return Held()


@pytest.fixture
def bench(redis_url: str, database_url: str, tmp_path: Path, betcore: Held) -> Iterator[Bench]:
    with bad_messages.bench(redis_url, database_url, tmp_path, accept=betcore) as made:
        yield made


def expired(database_url: str, cashback_id: int) -> UUID:
    """Credit an event of which BETCORE heard nothing in time; returns its id."""
    message = SettleMessage(**bad_messages.message(bad_messages.token(cashback_id)))
    event = VerifiedEvent(
        event_id=message.event_id,
        token=message.token,
        cashback_id=cashback_id,
        received_at=message.received_at,
    )
    with ledger_on(database_url) as ledger:
        ledger.settle(event, payout(cashback_id, USER, "1000.50"))
        assert ledger.close(event.event_id, State.EXPIRED)
    return event.event_id


def end_leases(connection: psycopg.Connection[Any]) -> None:
    """Let the time of the lost worker have gone by."""
    connection.execute("UPDATE replays SET due_at = clock_timestamp() WHERE state = 'open'")


def test_what_a_killed_worker_was_sending_the_next_one_sends(bench: Bench, betcore: Held) -> None:
    event_id = expired(bench.database_url, 480)
    worker = bench.start_worker()
    with psycopg.connect(bench.database_url, autocommit=True) as connection:
        before = books(connection)
        process = command.start(
            *("replay", str(event_id), "--reason", "ticket 7", "--yes", "--json"),
            database_url=as_role(bench.database_url, OPERATOR),
        )
        bench.wait(lambda: len(bench.accepts()) == 1, "the accept has been sent")

        worker.kill()
        betcore.released.set()
        end_leases(connection)
        bench.start_worker()
        done = command.finish(process)

        assert done.document["order"]["answered"] == 1
        first, second = (json.loads(body) for body in bench.accepts())
        assert first == second
        assert first["Value"]["PartnerTransactionId"] == "480-1"
        assert books(connection) == before
        rows = connection.execute("SELECT state, unconfirmed, attempts FROM receipts").fetchall()
        assert rows == [("answered", False, 1)]
        assert connection.execute("SELECT tries, sent FROM replays").fetchall() == [(2, 1)]
        bench.wait(
            lambda: connection.execute("SELECT FROM replay_orders WHERE ended_at IS NULL").fetchall() == [],
            "the order has ended",
        )
