"""Whatever is ordered, claimed and noted of replays: no money moves, and nothing is decided anew."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.local.postgres import PostgresServer
from tests.support.accepts import sent_accept
from tests.support.books import SOUND, add_user, audit, cancel, database_of, ledger_on, new_event, payout
from tests.support.replays import books
from worker.domain.settlement import Instruction, State
from worker.ledger.accepts import accepts_by_event
from worker.ledger.ledger import Ledger

STATES: Final = (State.SETTLED, State.EXPIRED, State.REFUSED, State.ANSWERED)
CODES: Final = {200, 102145, 102823, 103753, 103779, 103801, 103804}

actions = st.one_of(
    st.tuples(st.just("order"), st.sets(st.integers(0, 99), max_size=8), st.sampled_from([1, 10, 200])),
    st.tuples(st.just("claim"), st.integers(1, 300), st.sampled_from([0.0, 600.0]), st.sampled_from([1, 5])),
    st.tuples(
        st.just("note"),
        st.integers(0, 99),
        st.sampled_from(["answered", "failed", "open"]),
        st.integers(0, 3),
        st.integers(-1, 1),
    ),
    st.tuples(st.just("prune"), st.sampled_from([-1.0, 600.0])),
)


@dataclass
class Events:
    """Events of every code in every state that has one, and some that are not decided."""

    url: str
    ids: list[UUID] = field(default_factory=list)


def instructions(number: int) -> dict[str, list[Instruction]]:
    """Return what to settle for each case: the last one is the event in question."""
    first = number * 100
    return {
        "payout": [payout(first, "ann", "10")],
        "again": [payout(first + 1, "ann", "10"), payout(first + 1, "ann", "10")],
        "cancel": [payout(first + 2, "ann", "10"), cancel(first + 2, "ann", "10")],
        "nobody": [payout(first + 3, "nobody", "10")],
        "blocked": [payout(first + 4, "bob", "10")],
        "amount": [payout(first + 5, "ann", "-1")],
    }


def made_of(connection: psycopg.Connection[Any], ledger: Ledger, number: int, state: State) -> list[UUID]:
    """Settle one event of each case, and bring it into a state."""
    ids = []
    for case in instructions(number).values():
        for instruction in case:
            event = new_event(instruction.cashback_id)
            ledger.settle(event, instruction)
        ids.append(event.event_id)
    for code in (102823, 103753):
        event = new_event(number * 100 + 50)
        connection.execute(
            "SELECT record_receipt(%s, %s, 1, clock_timestamp(), 600, 900, 600)",
            (event.event_id, event.token),
        )
        connection.execute(
            "UPDATE receipts SET state = 'settled', code = %s, settled_at = now() WHERE event_id = %s",
            (code, event.event_id),
        )
        ids.append(event.event_id)
    for event_id in ids:
        if state is State.ANSWERED:
            ledger.mark_answered([event_id])
        elif state is not State.SETTLED:
            ledger.close(event_id, state)
    return ids


@pytest.fixture(scope="module")
def events(postgres_server: PostgresServer, migrated_template: str) -> Iterator[Events]:
    with database_of(postgres_server, migrated_template) as url:
        made = Events(url)
        with psycopg.connect(url, autocommit=True) as connection, ledger_on(url) as ledger:
            add_user(connection, "ann", balance_minor=100_000)
            add_user(connection, "bob", status="blocked")
            for number, state in enumerate(STATES, start=1):
                made.ids += made_of(connection, ledger, number, state)
            waiting = new_event(999)
            connection.execute(
                "SELECT record_receipt(%s, %s, 1, clock_timestamp(), 600, 900, 600)",
                (waiting.event_id, waiting.token),
            )
            made.ids.append(waiting.event_id)
            codes = connection.execute("SELECT DISTINCT code FROM receipts WHERE code IS NOT NULL")
            assert {code for (code,) in codes} == CODES
        yield made


def standing(connection: psycopg.Connection[Any]) -> dict[UUID, tuple[Any, ...]]:
    rows = connection.execute("SELECT event_id, state, code, transaction_id, settled_at FROM receipts")
    return {row[0]: row[1:] for row in rows}


def act(connection: psycopg.Connection[Any], events: Events, action: tuple[Any, ...]) -> None:
    name, *values = action
    if name == "order":
        ids = [events.ids[place % len(events.ids)] for place in values[0]]
        connection.execute("SELECT * FROM order_replay(%s::uuid[], %s, 'anna', 'test')", (ids, values[1]))
    elif name == "claim":
        limit, lease_seconds, max_tries = values
        connection.execute("SELECT * FROM claim_replays(%s, %s, 600, %s)", (limit, lease_seconds, max_tries))
    elif name == "note":
        place, state, sent, off = values
        known = connection.execute("SELECT replay_id, tries FROM replays ORDER BY replay_id").fetchall()
        replay_id, tries = known[place % len(known)] if known else (0, 0)
        connection.execute(
            "SELECT note_replays(ARRAY[%s]::bigint[], ARRAY[%s]::integer[], ARRAY[%s], ARRAY['x'],"
            " ARRAY[0]::double precision[], %s)",
            (
                replay_id,
                tries + off,
                state,
                accepts_by_event([[sent_accept(second) for second in range(sent)]]),
            ),
        )
    else:
        connection.execute("SELECT prune_replays(%s, 100)", values)


@settings(max_examples=50)
@given(plan=st.lists(actions, max_size=12))
def test_no_replay_moves_money_or_decides_anything(events: Events, plan: list[tuple[Any, ...]]) -> None:
    with psycopg.connect(events.url) as connection:
        before, stood = books(connection), standing(connection)

        for action in plan:
            act(connection, events, action)
        # And all of them at last, acknowledged.
        act(connection, events, ("order", range(len(events.ids)), 200))
        act(connection, events, ("claim", 300, 600.0, 5))
        for place in range(len(events.ids)):
            act(connection, events, ("note", place, "answered", 1, 0))

        assert books(connection) == before
        assert audit(connection) == SOUND
        for event_id, (state, *decided) in standing(connection).items():
            was, *was_decided = stood[event_id]
            assert decided == was_decided
            assert state == was or (was in {State.EXPIRED, State.REFUSED} and state == State.ANSWERED)
        connection.rollback()
