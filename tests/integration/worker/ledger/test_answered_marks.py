"""Marks are written off the path, many in one commit, and kept while PostgreSQL is away."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from structlog.testing import capture_logs

from deploy.local.postgres import PostgresServer
from deploy.local.processes import wait_until
from tests.support.books import add_user, new_event, payout, policy, pool_of
from worker.ledger.accepts import NONE_SENT, SentByEvent
from worker.ledger.answered_marks import AnsweredMarks
from worker.ledger.ledger import Ledger, VerifiedEvent


@contextmanager
def settled_events(
    database_url: str, count: int, *, timeout_seconds: float = 120
) -> Iterator[tuple[AnsweredMarks, list[VerifiedEvent]]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        add_user(connection, "ann")
    with pool_of(database_url) as pool:
        ledger = Ledger(pool, policy=policy(), timeout_seconds=120)
        events = [new_event(number) for number in range(1, count + 1)]
        for event in events:
            ledger.settle(event, payout(event.cashback_id, "ann", "1"))
        marking = Ledger(pool, policy=policy(), timeout_seconds=timeout_seconds)
        yield AnsweredMarks(marking, random=lambda: 0.1), events


def states(database_url: str) -> dict[str, int]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        return dict(connection.execute("SELECT state, count(*) FROM receipts GROUP BY state").fetchall())


def test_many_marks_become_one_commit(database_url: str) -> None:
    with settled_events(database_url, 40) as (marks, events):
        for event in events:
            marks.answered(event.event_id)
        marks.start()
        marks.close(timeout_seconds=120)

    assert states(database_url) == {"answered": 40}
    with psycopg.connect(database_url) as connection:
        writers = connection.execute("SELECT count(DISTINCT xmin::text) FROM receipts").fetchone()
    assert writers == (1,)


def test_a_mark_is_written_without_being_asked_to(database_url: str) -> None:
    with settled_events(database_url, 1) as (marks, events):
        marks.start()
        marks.answered(events[0].event_id)
        wait_until(
            lambda: states(database_url) == {"answered": 1}, what="the mark is written", timeout_seconds=120
        )
        marks.close(timeout_seconds=120)


def test_marks_wait_while_postgresql_does_not_answer(
    database_url: str, postgres_server: PostgresServer
) -> None:
    with settled_events(database_url, 3, timeout_seconds=1.5) as (marks, events), capture_logs() as logs:
        marks.start()
        postgres_server.freeze()
        try:
            for event in events:
                marks.answered(event.event_id)
            wait_until(
                lambda: any(line["event"] == "marks_wait" for line in logs),
                what="the marks were tried in vain",
                timeout_seconds=120,
            )
        finally:
            postgres_server.thaw()
        marks.close(timeout_seconds=120)

    assert states(database_url) == {"answered": 3}


def test_closing_ends_while_postgresql_does_not_answer_and_says_what_is_left(
    database_url: str, postgres_server: PostgresServer
) -> None:
    with settled_events(database_url, 1, timeout_seconds=0.3) as (marks, events), capture_logs() as logs:
        marks.start()
        postgres_server.freeze()
        try:
            marks.answered(events[0].event_id)
            marks.close(timeout_seconds=0.5)
        finally:
            postgres_server.thaw()

    assert "marks_left" in [line["event"] for line in logs]


class Surprised(Ledger):
    """A ledger that fails in a way that nobody foresaw, for one event."""

    unlucky: UUID | None = None

    def mark_answered(self, event_ids: Iterable[UUID], *, sent: SentByEvent = NONE_SENT) -> int:
        ids = list(event_ids)
        if self.unlucky in ids:
            raise RuntimeError("unforeseen")
        return super().mark_answered(ids, sent=sent)


def refuse_mark_of(database_url: str, event: VerifiedEvent) -> None:
    """Have PostgreSQL refuse the mark of this event, whatever else the statement marks."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION refuse_mark() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = 'integrity_constraint_violation'; END $$"
        )
        connection.execute(
            sql.SQL(
                "CREATE TRIGGER refuse_mark BEFORE UPDATE ON receipts FOR EACH ROW"
                " WHEN (NEW.event_id = {}) EXECUTE FUNCTION refuse_mark()"
            ).format(sql.Literal(event.event_id))
        )


@pytest.mark.parametrize("whose", ["the database's", "our own"])
def test_a_mark_that_always_fails_keeps_no_other_from_being_written_and_is_named(
    database_url: str, whose: str
) -> None:
    with settled_events(database_url, 5) as (marks, events), capture_logs() as logs:
        unlucky = events[2]
        if whose == "our own":
            Surprised.unlucky = unlucky.event_id
            marks._ledger.__class__ = Surprised  # noqa: SLF001 - the same connections, another behaviour
        else:
            refuse_mark_of(database_url, unlucky)
        for event in events[:4]:
            marks.answered(event.event_id)
        marks.start()
        wait_until(lambda: states(database_url).get("answered") == 3, what="the others", timeout_seconds=120)
        # And what comes after it is written, too.
        marks.answered(events[4].event_id)
        marks.close(timeout_seconds=120)

    assert states(database_url) == {"answered": 4, "settled": 1}
    (line,) = (line for line in logs if line["event"] == "marks_refused")
    assert (line["log_level"], line["events"], line["of"]) == ("error", 1, 4)
    assert line["event_ids"] == [str(unlucky.event_id)]
    assert isinstance(line["exc_info"], Exception)
