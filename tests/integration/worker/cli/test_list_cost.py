"""`cashback list` reads as many rows as it prints, however many events there are."""

import psycopg
import pytest

from tests.support.books import add_user, ledger_on, new_event, payout
from worker.cli.queries.events.listing import EventFilter, list_events
from worker.domain.settlement import State

LIMIT = 10

# Answered events and, one in 100, expired ones; one a second, numbered by their CashbackId.
RECEIVE = """
INSERT INTO receipts
    (event_id, cashback_id, received_at, credit_cutoff_at, deadline_at, next_attempt_at)
SELECT gen_random_uuid(), number, at, at + interval '25 s', at + interval '30 s', at
FROM generate_series(1, 20000) AS number,
    LATERAL (SELECT '2026-01-01Z'::timestamptz + number * interval '1 s' AS at) AS moment
"""
SETTLE = "UPDATE receipts SET state = 'settled', code = 102145, settled_at = received_at"
CLOSE = """
UPDATE receipts
SET state = CASE WHEN mod(cashback_id, 100) = 0 THEN 'expired' ELSE 'answered' END, closed_at = received_at
"""
UNCONFIRMED = range(30_001, 30_016)


def fill(database_url: str) -> None:
    """Record 20,000 old events, and 15 newer ones that moved money and were not acknowledged."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for statement in (RECEIVE, SETTLE, CLOSE):
            connection.execute(statement)
        add_user(connection, "188509")
        with ledger_on(database_url) as ledger:
            for cashback_id in UNCONFIRMED:
                event = new_event(cashback_id)
                ledger.settle(event, payout(cashback_id, "188509", "1"))
                ledger.close(event.event_id, State.EXPIRED, error="no answer")
        connection.execute("ANALYZE receipts")
        # What this session read must not arrive behind the count that the test begins with.
        connection.execute("SELECT pg_stat_force_next_flush()")


def rows_read(connection: psycopg.Connection) -> int:
    """Count what this database's ended sessions and this one have read of the receipts so far."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    row = connection.execute(
        "SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables "
        "WHERE relname = 'receipts'"
    ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize(
    ("wanted", "first_page", "second_page"),
    [
        (EventFilter(state=State.ANSWERED), (19_999, 19_998), (19_989, 19_988)),
        (EventFilter(state=State.EXPIRED), (30_015, 30_014), (30_005, 30_004)),
        (EventFilter(unconfirmed=True), (30_015, 30_014), (30_005, 30_004)),
        (EventFilter(state=State.EXPIRED, unconfirmed=True), (30_015, 30_014), (30_005, 30_004)),
        (EventFilter(state=State.REFUSED, unconfirmed=True), (), ()),
        (EventFilter(state=State.RECEIVED), (), ()),
        (EventFilter(), (30_015, 30_014), (30_005, 30_004)),
    ],
    ids=[
        "answered",
        "expired",
        "unconfirmed",
        "expired and unconfirmed",
        "refused, unconfirmed",
        "received",
        "all",
    ],
)
def test_a_page_costs_no_more_rows_than_it_can_have(
    database_url: str, wanted: EventFilter, first_page: tuple[int, ...], second_page: tuple[int, ...]
) -> None:
    fill(database_url)
    with psycopg.connect(database_url, autocommit=True) as observer:
        before = rows_read(observer)
        with psycopg.connect(database_url, autocommit=True) as reader:
            first = list_events(reader, wanted, limit=LIMIT)
            second = list_events(
                reader,
                EventFilter(state=wanted.state, unconfirmed=wanted.unconfirmed, after=first.next_after),
                limit=LIMIT,
            )
            # Its figures arrive at the latest when its session ends.
            reader.execute("SELECT pg_stat_force_next_flush()")
        read = rows_read(observer) - before

    assert tuple(event.cashback_id for event in first.events)[:2] == first_page
    assert tuple(event.cashback_id for event in second.events)[:2] == second_page
    # A page and one row more that says whether it is the last one, twice, of each state that is looked for;
    # the event that --after names; and the few unconfirmed events, which may be sorted.
    looks = 1 if wanted.state or wanted.unconfirmed else len(State)
    assert read <= 2 * looks * (LIMIT + 1) + 1 + 2 * len(UNCONFIRMED)
