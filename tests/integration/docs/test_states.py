"""docs/states.md says what the database allows: every pair of states is tried on a real one."""

import re
from collections.abc import Iterator
from itertools import product

import psycopg
import pytest

from deploy.local.environment import ROOT
from worker.domain.settlement import State

STATES = ROOT / "docs" / "states.md"
NONE = "none"
ENDS = {State.ANSWERED, State.REFUSED, State.EXPIRED}
# As an operator could write it who may touch the books, so that the schema alone says no.
INSERT = (
    "INSERT INTO receipts (event_id, cashback_id, received_at, credit_cutoff_at, deadline_at,"
    " next_attempt_at, state, code, closed_at) SELECT gen_random_uuid(), 1, at,"
    " at + interval '25 s', at + interval '30 s', at, %(state)s, %(code)s, CASE WHEN %(is_end)s THEN at END"
    " FROM (SELECT now() - interval '1 hour' AS at) AS times RETURNING event_id"
)
MOVE = (
    "UPDATE receipts SET state = %(state)s, code = %(code)s,"
    " closed_at = CASE WHEN %(is_end)s THEN coalesce(closed_at, now()) END WHERE event_id = %(event_id)s"
)
Pairs = set[tuple[str, str]]


def table(heading: str) -> list[list[str]]:
    """Return the rows of the table below a heading of docs/states.md, without its head."""
    text = STATES.read_text("utf-8")
    section = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def documented() -> Pairs:
    return {(row[0].strip("`"), row[1].strip("`")) for row in table("Transitions")}


def columns(state: str) -> dict[str, object]:
    """Return what else must stand in a receipt of this state, so that no CHECK is against it."""
    return {"state": state, "code": None if state == State.RECEIVED else 102823, "is_end": state in ENDS}


def placed(connection: psycopg.Connection, state: str) -> object:
    """Put a receipt into a state past all triggers; return its id."""
    connection.execute("SET LOCAL session_replication_role = replica")
    row = connection.execute(INSERT, columns(state)).fetchone()
    connection.execute("SET LOCAL session_replication_role = origin")
    assert row is not None
    return row[0]


def is_allowed(connection: psycopg.Connection, before: str, after: str) -> bool:
    """Try one way on a receipt of its own; nothing of it stays."""
    with connection.transaction(force_rollback=True):
        if before == NONE:
            statement, event_id = INSERT, None
        else:
            statement, event_id = MOVE, placed(connection, before)
        try:
            connection.execute(statement.encode(), {**columns(after), "event_id": event_id})
        except psycopg.IntegrityError:
            return False
        return True


def is_pruned(connection: psycopg.Connection, state: str) -> bool:
    with connection.transaction(force_rollback=True):
        placed(connection, state)
        return connection.execute("SELECT prune_receipts(1, 10)").fetchone() == (1,)


def allowed(connection: psycopg.Connection) -> Pairs:
    """Return all ways that the database lets a receipt go from one state to another one."""
    states = [state.value for state in State]
    ways = {
        (before, after)
        for before, after in product([NONE, *states], states)
        if before != after and is_allowed(connection, before, after)
    }
    return ways | {(state, NONE) for state in states if is_pruned(connection, state)}


@pytest.fixture
def books(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def test_the_documented_transitions_are_those_that_the_database_allows(books: psycopg.Connection) -> None:
    assert documented() == allowed(books)


def test_the_documented_states_are_those_of_the_program_and_of_the_database(
    books: psycopg.Connection,
) -> None:
    (definition,) = [
        row[0]
        for row in books.execute(
            "SELECT pg_get_constraintdef(pg_constraint.oid) FROM pg_constraint JOIN pg_attribute"
            " ON attrelid = conrelid AND conkey = ARRAY[attnum]"
            " WHERE conrelid = 'receipts'::regclass AND contype = 'c' AND attname = 'state'"
        )
    ]

    states = [row[0].strip("`") for row in table("States")]
    assert states == [state.value for state in State]
    assert set(re.findall(r"'(\w+)'::text", definition)) == set(states)


def test_the_documented_functions_are_there(books: psycopg.Connection) -> None:
    named = {name for row in table("Transitions") for name in re.findall(r"`(\w+)`", row[2])}

    known = {row[0] for row in books.execute("SELECT proname FROM pg_proc")}
    assert named
    assert named <= known


def test_a_guard_that_is_gone_is_noticed(books: psycopg.Connection) -> None:
    books.execute("DROP TRIGGER receipts_guard ON receipts")

    found = allowed(books) - documented()

    assert ("answered", "expired") in found
    assert ("received", "answered") in found
