"""Tokens: kept apart from their receipts, for weeks, and for ever where an event has no good end."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import psycopg
import pytest

from tests.support.books import add_user, ledger_on, new_event, payout
from worker.domain.settlement import State
from worker.ledger.ledger import Ledger, VerifiedEvent

DAY_SECONDS = 86_400.0
KEEP_DAYS = 30
LIMIT = 100
OLD_DAYS = 45


@contextmanager
def books(database_url: str) -> Iterator[tuple[Ledger, psycopg.Connection]]:
    with psycopg.connect(database_url, autocommit=True) as connection, ledger_on(database_url) as ledger:
        add_user(connection, "ann")
        yield ledger, connection


def settled(ledger: Ledger, cashback_id: int, *, age_days: float) -> VerifiedEvent:
    event = new_event(cashback_id, age_seconds=age_days * DAY_SECONDS)
    ledger.settle(event, payout(cashback_id, "ann", "1"))
    return event


def prune(connection: psycopg.Connection, *, limit: int = LIMIT) -> tuple[int, int]:
    row = connection.execute(
        "SELECT emptied, kept FROM prune_tokens(%s, %s)", (KEEP_DAYS * DAY_SECONDS, limit)
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def token_of(connection: psycopg.Connection, event_id: UUID) -> str | None:
    row = connection.execute("SELECT token_of(%s)", (event_id,)).fetchone()
    return row[0] if row else None


def stored(connection: psycopg.Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT token FROM tokens ORDER BY token")]


def test_an_old_week_goes_but_for_the_tokens_of_events_without_a_good_end(database_url: str) -> None:
    with books(database_url) as (ledger, connection):
        # Given a week that is old: an answered event, a refused, an expired, and one that is open for ever,
        answered, refused, expired, left_open = (
            settled(ledger, number, age_days=OLD_DAYS) for number in range(1, 5)
        )
        ledger.mark_answered([answered.event_id])
        ledger.close(refused.event_id, State.REFUSED)
        ledger.close(expired.event_id, State.EXPIRED)
        # and a week that is not,
        young = settled(ledger, 5, age_days=KEEP_DAYS - 1)
        ledger.mark_answered([young.event_id])

        # then the old week is emptied, three of its tokens stay, and a second look finds nothing to do.
        assert prune(connection) in {(1, 3), (2, 3)}
        assert prune(connection) == (0, 0)
        assert token_of(connection, answered.event_id) is None
        for event in (refused, expired, left_open, young):
            assert token_of(connection, event.event_id) == event.token
        assert len(stored(connection)) == 4


def test_many_tokens_that_stay_move_in_steps_and_none_twice(database_url: str) -> None:
    with books(database_url) as (ledger, connection):
        events = [settled(ledger, number, age_days=OLD_DAYS + number / 1e5) for number in range(1, 8)]
        for number, event in enumerate(events):
            ledger.close(event.event_id, State.REFUSED if number % 2 else State.EXPIRED)

        steps: list[tuple[int, int]] = []
        while not steps or steps[-1] != (0, 0):
            steps.append(prune(connection, limit=3))

        assert [kept for _, kept in steps][:2] == [3, 3]
        assert sum(kept for _, kept in steps) == len(events)
        assert sum(emptied for emptied, _ in steps) >= 1
        assert stored(connection) == sorted(event.token for event in events)


@pytest.mark.parametrize("state", [State.EXPIRED, State.REFUSED, None])
def test_many_tokens_of_one_state_all_stay_however_often_it_takes(
    database_url: str, state: State | None
) -> None:
    with books(database_url) as (ledger, connection):
        events = [settled(ledger, number, age_days=OLD_DAYS + number / 1e5) for number in range(1, 12)]
        for event in events:
            if state is not None:
                ledger.close(event.event_id, state)

        steps: list[tuple[int, int]] = []
        while not steps or steps[-1] != (0, 0):
            steps.append(prune(connection, limit=3))

        assert stored(connection) == sorted(event.token for event in events)


def test_two_weeks_of_one_slot_lose_nothing_whatever_was_kept_between_them(database_url: str) -> None:
    with books(database_url) as (ledger, connection):
        # Given a kept token of a week between two of one slot, which was not emptied in its turn,
        ages_days = (60, *(OLD_DAYS + 32 * 7 + number / 1e5 for number in range(4)), OLD_DAYS)
        events = []
        for number, age_days in enumerate(ages_days):
            events.append(settled(ledger, number + 1, age_days=age_days))
            ledger.close(events[-1].event_id, State.EXPIRED)
            if number == 0:
                prune(connection)

        while prune(connection, limit=2) != (0, 0):
            pass

        assert stored(connection) == sorted(event.token for event in events)


def test_a_slot_that_holds_a_young_token_beside_old_ones_is_left_alone(database_url: str) -> None:
    with books(database_url) as (ledger, connection):
        # Given a slot that nobody emptied before its turn came round again, 32 weeks later,
        old = settled(ledger, 1, age_days=32 * 7)
        young = settled(ledger, 2, age_days=0)
        ledger.mark_answered([old.event_id, young.event_id])

        assert prune(connection) == (0, 0)
        assert stored(connection) == sorted([old.token, young.token])


def test_a_slot_that_somebody_reads_is_left_for_later_and_nobody_waits(database_url: str) -> None:
    with books(database_url) as (ledger, connection), psycopg.connect(database_url) as backup:
        event = settled(ledger, 1, age_days=OLD_DAYS)
        ledger.mark_answered([event.event_id])
        # Given a backup that has looked at all tokens,
        assert len(stored(backup)) == 1

        assert prune(connection) == (0, 0)
        backup.rollback()
        assert prune(connection) == (1, 0)


def test_a_kept_token_goes_with_its_receipt_where_the_good_end_came_late(database_url: str) -> None:
    with books(database_url) as (ledger, connection):
        late, bad = settled(ledger, 1, age_days=OLD_DAYS), settled(ledger, 2, age_days=OLD_DAYS)
        for event in (late, bad):
            ledger.close(event.event_id, State.EXPIRED)
        prune(connection)
        ledger.mark_answered([late.event_id])

        connection.execute("SELECT prune_receipts(%s, 100)", (KEEP_DAYS * DAY_SECONDS,))

        assert stored(connection) == [bad.token]


@pytest.mark.parametrize("week", [0, 1, 31, 32, 33, 2_950])
def test_every_moment_has_a_slot(database_url: str, week: int) -> None:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT token_slot(to_timestamp(%s))", (week * 7 * DAY_SECONDS,)).fetchone()
        before = connection.execute("SELECT token_slot(to_timestamp(%s))", (week * 7 * DAY_SECONDS - 1,))
        assert row == (week % 32,)
        assert before.fetchone() == ((week - 1) % 32,)
