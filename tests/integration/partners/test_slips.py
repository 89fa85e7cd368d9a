"""Whatever a partner gets wrong ends settled or in quarantine with words that help: see docs/partners.md.

One worker for all of them, and a BETCORE that refuses each accept once: what was sent is sent on again, too.
"""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
import pytest
import redis

from cashback_client.contract import QUEUE, RETRY_QUEUE
from deploy.local.postgres import PostgresServer
from deploy.local.valkey import ValkeyServer
from tests.support import bad_messages
from tests.support.bad_messages import Bench
from tests.support.books import SOUND, audit
from tests.support.raw_betcore import Answering, reply
from tests.support.shop import ANSWERED, EXPIRED, NAMED, Sent, Shop, Slip
from tests.support.slips import SLIPS


@dataclass(frozen=True)
class Ends:
    """What had become of everything when it was over, read past the worker's code."""

    sent: dict[str, Sent]
    states: dict[str, str]
    rows: list[dict[str, Any]]
    lying: Counter[str]
    left: int
    metrics: str
    log: str
    books: object

    def end_of(self, queue: str, entry: bytes, events: frozenset[Any]) -> str:
        """Return how one entry ended: a state, a reason, NAMED, or nothing at all."""
        row = self.row_of(entry)
        if row is not None:
            return str(row["reason"])
        states = {self.states.get(str(event), "nowhere") for event in events}
        return NAMED if self.lying[queue] else states.pop() if len(states) == 1 else f"nowhere: {states}"

    def row_of(self, entry: bytes) -> dict[str, Any] | None:
        """Return its row in quarantine, which may hold the beginning of it alone."""
        return next(
            (
                row
                for row in self.rows
                if entry.startswith(row["message"]) and row["message_bytes"] == len(entry)
            ),
            None,
        )


def refusing_once() -> Answering:
    """Refuse the first accept of each cashback."""
    seen: set[str] = set()
    lock = threading.Lock()

    def answer(peer: Any, connection: Any, request: Any) -> None:  # noqa: ANN401 - see raw_betcore
        of = str(json.loads(request.body)["Value"]["CashbackId"])
        with lock:
            is_first = of not in seen
            seen.add(of)
        reply(500 if is_first else 200)(peer, connection, request)

    return answer


@pytest.fixture(scope="module")
def ends(
    valkey_server: ValkeyServer,
    postgres_server: PostgresServer,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Ends]:
    """Send everything at once, wait until it is over, and read what became of it."""
    with ExitStack() as stack:
        client = stack.enter_context(redis.Redis.from_url(valkey_server.url))
        directory = tmp_path_factory.mktemp("slips")
        bench = stack.enter_context(
            bad_messages.bench_of_a_module(
                valkey_server, postgres_server, migrated_template, directory, accept=refusing_once()
            )
        )
        # What lies there at two looks is named: they come soon.
        bench.before = "import worker.queue.unread_lists as u; u.LOOK_SECONDS = 1.0"
        bench.start_worker()
        shop = Shop(valkey_server.url)
        sent = {}
        for slip in SLIPS:
            sent[slip.what] = slip.send(shop)
            for queue, entry in sent[slip.what].entries:
                client.lpush(queue, entry)
        yield read(bench, client, sent)


def read(bench: Bench, client: redis.Redis, sent: dict[str, Sent]) -> Ends:
    named = {slip.what for slip in SLIPS if slip.end == NAMED}
    lists = {queue for what in named for queue, _ in sent[what].entries}
    events = {str(event) for what in sent.keys() - named for event in sent[what].events}
    elsewhere = {queue for each in sent.values() for queue, _ in each.entries} - lists
    bench.wait(lambda: not client.exists(*elsewhere), "all is taken")
    bench.wait_until_idle()
    bench.wait(lambda: all(gauge(bench, name) for name in lists), "what nobody reads is named")
    bench.wait(lambda: ended(bench) >= sum(1 for each in states(bench)), "all events have ended")
    return Ends(
        sent=sent,
        states={event: state for event, state in states(bench).items() if event in events},
        rows=bench.rows(),
        lying=Counter({name: int(str(client.llen(name))) for name in lists}),
        left=int(str(client.llen(QUEUE))) + int(str(client.llen(RETRY_QUEUE))) + bench.unacknowledged(),
        metrics=metrics(bench),
        log=bench.log(),
        books=books(bench),
    )


def metrics(bench: Bench) -> str:
    return httpx.get(f"http://127.0.0.1:{bench.metrics_port}/metrics").text


def gauge(bench: Bench, name: str) -> bool:
    return f'cashback_unread_entries{{list="{name}"}}' in metrics(bench)


def states(bench: Bench) -> dict[str, str]:
    with psycopg.connect(bench.database_url) as connection:
        return {
            str(event): state for event, state in connection.execute("SELECT event_id, state FROM receipts")
        }


def ended(bench: Bench) -> int:
    return sum(state in {ANSWERED, EXPIRED, "refused"} for state in states(bench).values())


def books(bench: Bench) -> object:
    with psycopg.connect(bench.database_url) as connection:
        return audit(connection)


@pytest.mark.parametrize("slip", [pytest.param(slip, id=slip.what) for slip in SLIPS])
def test_a_slip_ends_as_the_paper_says(ends: Ends, slip: Slip) -> None:
    sent = ends.sent[slip.what]

    for queue, entry in sent.entries:
        row = ends.row_of(entry)
        end = ends.end_of(queue, entry, sent.events)
        assert end == slip.end, row and row["detail"]
        if row is not None:
            assert slip.words in row["detail"]
    if slip.end == NAMED:
        assert f'cashback_unread_entries{{list="{slip.words}"}} {float(len(sent.entries))}' in ends.metrics
        assert "entries_nobody_reads" in ends.log


def test_as_many_ends_as_messages_and_nothing_is_left(ends: Ends) -> None:
    entries = [(entry, each) for each in ends.sent.values() for entry in each.entries]
    quarantined = sum(row["seen_count"] for row in ends.rows)
    lying = ends.lying.total()
    on_record = sum(
        1 for (queue, entry), each in entries if ends.end_of(queue, entry, each.events) in {ANSWERED, EXPIRED}
    )

    assert len(entries) == quarantined + lying + on_record
    assert ends.left == 0
    assert ends.books == SOUND


def test_what_came_with_a_priority_was_brought_to_its_queue_and_said(ends: Ends) -> None:
    assert 'cashback_moved_entries_total{list="cashback (priority 9)"} 1.0' in ends.metrics
    assert "entries_moved" in ends.log


def test_every_event_was_sent_on_when_betcore_had_refused_its_first_accept(ends: Ends) -> None:
    assert "retry_not_published" not in ends.log
