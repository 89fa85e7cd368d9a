"""What recurring statements read: what they need, of many rows, whatever PostgreSQL knows of the tables.

Held by the buffers that are read, not by time. With PLANS_ROWS=2000000 it is the same for two million.
"""

import hashlib
import itertools
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

import psycopg
import pytest

from deploy.local.postgres import PostgresServer
from tests.support.books import database_of
from tests.support.many_rows import buffers_of, fill, know
from tests.support.plans import LASTING_PLANS
from worker.cli.queries.accounts import read_account
from worker.cli.queries.events.cashback import read_cashback, read_event
from worker.cli.queries.events.listing import EventFilter, list_events
from worker.cli.queries.events.live import MAX_EVENTS, Live, LiveFilter
from worker.cli.shared.database import open_database
from worker.domain.settlement import State
from worker.quarantine.listing import list_quarantined, open_ids, read_quarantined

ROWS: Final = int(os.environ.get("PLANS_ROWS", "100000"))
# To read all of 100,000 rows takes far more.
FEW_BUFFERS: Final = 300
MEMBERS: Final = 16
STATISTICS: Final = ("none", "fresh", "stale")
_GROUP: Final = """
SELECT * FROM settle_events((
    SELECT json_agg(json_build_object(
        'event_id', md5('waiting ' || place)::uuid, 'token', 't', 'cashback_id', {rows} + place,
        'received_at', clock_timestamp(), 'hold_seconds', 3, 'kind', 'payout', 'transaction_type', 1,
        'user_id', 'user ' || place, 'amount', 1, 'tax', 0))
    FROM generate_series({members} * {run}, {members} * {run} + {members} - 1) AS place
), 25, 30, true)
"""
# Of a worker or a receiver; {run} is another number each time.
STATEMENTS: Final = {
    "give up": "SELECT give_up_overdue(100)",
    "expire": "SELECT * FROM expire_overdue(100)",
    "claim": "SELECT * FROM claim_overdue(100, 60, 5, clock_timestamp() - interval '2 days', 600)",
    "when the head was received": "SELECT received_first(ARRAY[md5('waiting 1')::uuid, md5('no')::uuid])",
    "prune receipts": "SELECT prune_receipts(15552000, 500)",
    "prune tokens": "SELECT * FROM prune_tokens(2592000, 500)",
    "prune quarantine": "SELECT prune_quarantine(2592000, 20000, 500)",
    "prune replays": "SELECT prune_replays(15552000, 500)",
    "claim replays": "SELECT count(*) FROM claim_replays(5, 600, 600, 5)",
    "note replays": (
        "SELECT note_replays(ARRAY[{rows} + {run}], ARRAY[1], '{{open}}', '{{x}}', ARRAY[60.0], NULL)"
    ),
    "move the bound": "SELECT raise_sweep_bound(60)",
    "look below the bound": "SELECT lower_sweep_bound()",
    "compare with the witness": (
        "SELECT cashback_id, transaction_type"
        " FROM unnest(ARRAY(SELECT generate_series(1, 20)::bigint), array_fill(1, '{{20}}'))"
        " AS asked (cashback_id, transaction_type) WHERE NOT EXISTS (SELECT FROM transactions"
        " WHERE transactions.cashback_id = asked.cashback_id"
        " AND transactions.transaction_type = asked.transaction_type)"
    ),
    "count what is unconfirmed": "SELECT count_unconfirmed(10000)",
    "newest transaction": "SELECT max(transaction_id) FROM transactions",
    "progress": "SELECT * FROM progress_of(ARRAY[md5('answered 1')::uuid, md5('waiting 1')::uuid], 3, NULL)",
    "progress of a partner": "SELECT * FROM progress_of(ARRAY[md5('waiting 1')::uuid], 3, 'edge')",
    "how events stand": "SELECT * FROM states_of(ARRAY[md5('answered 1')::uuid, md5('no')::uuid], NULL)",
    "record": (
        "SELECT * FROM record_receipts(ARRAY[event_id_of('r{run}')], '{{r{run}}}', '{{1}}',"
        " ARRAY[(extract(epoch FROM clock_timestamp()) * 1000)::bigint], 25, 30, 3)"
    ),
    "settle what has no receipt and no account": (
        "SELECT * FROM settle_event(event_id_of('n{run}'), 'n{run}', 1, clock_timestamp(), 25, 30, 3,"
        " 'payout', 7, 'nobody', 1, 0, false, true, true)"
    ),
    "settle a payout": (
        "SELECT * FROM settle_event(md5('waiting ' || 5000 + {run})::uuid, 't', {rows} + 5000 + {run},"
        " clock_timestamp(), 25, 30, 3, 'payout', 1, 'user ' || 5000 + {run}, 1, 0, false, true, true)"
    ),
    "settle a cancel": (
        "SELECT * FROM settle_event(event_id_of('c{run}'), 'c{run}', 1001 + 10 * {run},"
        " clock_timestamp(), 25, 30, 3, 'cancel', -1, 'user ' || 1001 + 10 * {run}, 1, 0, false, true, true)"
    ),
    "settle a cancel of a user with many entries": (
        "SELECT * FROM settle_event(event_id_of('m{run}'), 'm{run}', 1000 + 10 * {run},"
        " clock_timestamp(), 25, 30, 3, 'cancel', -1, 'user 1', 1, 0, false, false, true)"
    ),
    "settle a group of payouts": _GROUP,
    "settle what was answered": (
        "SELECT * FROM settle_event(md5('answered {run}')::uuid, 't', {run}, clock_timestamp(), 25, 30, 3,"
        " 'payout', 1, 'user {run}', 1, 0, false, true, true)"
    ),
    "give up one": "SELECT * FROM give_up_event(md5('waiting 7000')::uuid)",
    "mark": "SELECT mark_answered(ARRAY[md5('unanswered {run}')::uuid])",
    "mark again": "SELECT mark_answered(ARRAY[md5('answered 1')::uuid])",
    "close": "SELECT close_event(md5('unanswered ' || 100 + {run})::uuid, 'expired', 'error')",
    "postpone": "SELECT postpone_event(md5('unanswered ' || 200 + {run})::uuid, 60, 'error')",
    "hold": "SELECT hold_events(ARRAY[md5('unanswered ' || 300 + {run})::uuid], 60)",
    "token": "SELECT token_of(md5('waiting 1')::uuid)",
    "quarantine": (
        "SELECT * FROM quarantine_message(sha256('{run}'), 'bad_message', '', 'cashback', NULL, NULL, '{{}}',"
        " NULL, NULL, '', 0)"
    ),
}
EVENT_ID: Final = UUID(hashlib.md5(b"answered 1", usedforsecurity=False).hexdigest())
# Of the command.
LOOKS: Final[dict[str, Callable[[psycopg.Connection[Any]], object]]] = {
    **{f"list {state}": partial(list_events, wanted=EventFilter(state=state), limit=50) for state in State},
    "list": partial(list_events, wanted=EventFilter(), limit=50),
    "list unconfirmed": partial(list_events, wanted=EventFilter(unconfirmed=True), limit=50),
    "list by code": partial(list_events, wanted=EventFilter(code=103753), limit=50),
    "list by code and state": partial(
        list_events, wanted=EventFilter(code=103753, state="answered"), limit=50
    ),
    "list by user": partial(list_events, wanted=EventFilter(user_id="user 7"), limit=50),
    "list by user and state": partial(
        list_events, wanted=EventFilter(user_id="user 7", state="expired"), limit=50
    ),
    "list by cashback": partial(list_events, wanted=EventFilter(cashback_id=7), limit=50),
    "list by time": partial(
        list_events,
        wanted=EventFilter(state="answered", until=datetime.now(UTC) - timedelta(hours=2)),
        limit=50,
    ),
    "show": lambda connection: read_cashback(connection, 1, limit=50),
    "show an event": lambda connection: read_event(connection, EVENT_ID),
    "tail": Live(LiveFilter(), since=None).look,
    "tail of all": Live(LiveFilter(states=tuple(State)), since=None).look,
    "tail of unconfirmed": Live(LiveFilter(unconfirmed=True), since=None).look,
    "account": lambda connection: read_account(connection, "user 7", limit=20),
    "account of many entries": lambda connection: read_account(connection, "user 1", limit=20),
    "quarantine list": lambda connection: list_quarantined(
        connection, reason=None, only_open=True, after=None, limit=50
    ),
    "quarantine list by reason": lambda connection: list_quarantined(
        connection, reason="unknown_task", only_open=False, after=None, limit=50
    ),
    "quarantine show": lambda connection: read_quarantined(connection, 1),
    "quarantine requeue": lambda connection: open_ids(connection, reason="unknown_task", after=0, limit=50),
}
# Read the newest of each state, however many there are.
TAILS: Final = ("tail", "tail of all")
# No index holds open events by the time of their receipt: one more would be written by each event.
WHAT_WAITS: Final = ("list", "list received", "list settled", "list by code", "list by user")

_runs = itertools.count(1)


@pytest.fixture(scope="module")
def filled_url(postgres_server: PostgresServer, migrated_template: str) -> Iterator[str]:
    """Give the URL of a database with many rows of each kind, none of them overdue or too old."""
    with database_of(postgres_server, migrated_template) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            fill(connection, rows=ROWS)
        yield url


@pytest.fixture
def observer(filled_url: str) -> Iterator[psycopg.Connection[Any]]:
    """Give a session that only watches."""
    with psycopg.connect(filled_url, autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("statistics", STATISTICS)
def test_a_recurring_statement_reads_few_buffers_of_many_rows(
    filled_url: str, observer: psycopg.Connection[Any], statistics: str
) -> None:
    # Given many rows, and what PostgreSQL knows of them,
    know(observer, statistics)

    # when each statement runs in a session as a worker's,
    read = {}
    with psycopg.connect(filled_url, options=LASTING_PLANS, autocommit=True) as worker:
        for name, statement in STATEMENTS.items():
            read[name] = _read_again(observer, worker, partial(_run, statement))
    read["settle a group of payouts"] //= MEMBERS

    print(f"{statistics}: {read}")  # noqa: T201 - for whoever runs it by hand, with -s
    # then it reads few buffers.
    assert {name: buffers for name, buffers in read.items() if buffers > FEW_BUFFERS} == {}


@pytest.mark.parametrize("statistics", STATISTICS)
def test_a_look_of_the_command_reads_few_buffers_of_many_rows(
    filled_url: str, observer: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch, statistics: str
) -> None:
    # Given many rows, and what PostgreSQL knows of them,
    know(observer, statistics)
    monkeypatch.setenv("CASHBACK_DATABASE_URL", filled_url)

    # when the command looks at them,
    read = {}
    for name, look in LOOKS.items():
        with open_database(timeout_seconds=60.0) as connection:
            read[name] = _read_again(observer, connection, look)

    print(f"{statistics}: {read}")  # noqa: T201 - for whoever runs it by hand, with -s
    # then it reads few buffers, or what waits, where a list has to put that in order.
    sorted_, tails = ({name: read.pop(name) for name in names} for names in (WHAT_WAITS, TAILS))
    assert {name: buffers for name, buffers in read.items() if buffers > FEW_BUFFERS} == {}
    assert {name: buffers for name, buffers in sorted_.items() if buffers > ROWS // 30} == {}
    assert {name: buffers for name, buffers in tails.items() if buffers > 1.5 * MAX_EVENTS} == {}


def _run(statement: str, connection: psycopg.Connection[Any]) -> None:
    connection.execute(statement.format(run=next(_runs), rows=ROWS, members=MEMBERS).encode())


def _read_again(
    observer: psycopg.Connection[Any],
    connection: psycopg.Connection[Any],
    work: Callable[[psycopg.Connection[Any]], object],
) -> int:
    # The first run reads the catalog, too.
    work(connection)
    read = buffers_of(observer, connection, partial(work, connection))
    assert read > 0
    return read
