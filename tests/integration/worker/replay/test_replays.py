"""Replays: the same accept once more, with backoff, and never a credit."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast
from uuid import UUID

import psycopg
import pytest

from tests.support.accept_answers import ACK, PASSING, REFUSAL
from tests.support.betcore import cashback
from tests.support.books import add_user
from tests.support.handler_bench import bench
from tests.support.raw_betcore import in_turn, raw
from tests.support.replays import (
    books,
    ended,
    order,
    outcomes,
    replay_of,
    replaying,
    run_until_ended,
)
from tests.support.sweeping import sweeping
from tests.support.worker_process import END_SECONDS

if TYPE_CHECKING:
    from worker.recovery.broker import Broker

NO_BROKER = cast("Broker", SimpleNamespace(close=lambda: None))


def accepts_of(connection: psycopg.Connection, event_id: UUID) -> list[tuple[int | None, int | None]]:
    """Return HTTP status and ErrorCode of each accept of an event that is on record."""
    query = "SELECT sent.status, sent.code FROM receipts, unnest(accepts) AS sent WHERE event_id = %s"
    return list(connection.execute(query.encode(), (event_id,)))


def test_an_unconfirmed_event_is_sent_once_more_and_confirmed(database_url: str) -> None:
    with bench(database_url, ACK) as at, replaying(at, database_url) as replays:
        event = ended(at)
        assert at.receipt(event.message) == ("expired", 200, True, "no answer")
        before = books(at.connection)

        assert order(database_url, [event.event_id])[1] == 1
        run_until_ended(at, replays)

        assert at.accepts() == [event.answer]
        assert at.accepts()[0]["Value"]["PartnerTransactionId"] == "480-1"
        assert at.receipt(event.message) == ("answered", 200, False, None)
        assert replay_of(at, event.event_id) == ("answered", 1, 1, None)
        assert outcomes(at) == {"answered": 1}
        assert books(at.connection) == before
        assert accepts_of(at.connection, event.event_id) == [(200, 200)]


def declined() -> list[tuple[int, dict[str, object]]]:
    """Return data of makes with the code that each is answered with."""
    return [
        (102145, cashback(PartnerUserId="nobody")),
        (103801, cashback(Amount="-5", TaxAmount="2.50")),
        (103753, cashback(TransactionType=77)),
        (103753, {"CashbackId": 480}),
    ]


@pytest.mark.parametrize(("code", "data"), declined())
def test_an_event_that_was_declined_is_declined_once_more_in_the_same_words(
    database_url: str, code: int, data: dict[str, object]
) -> None:
    with bench(database_url, ACK) as at, replaying(at, database_url) as replays:
        event = ended(at, data, state="refused")
        assert event.answer["ErrorCode"] == code
        # In the meantime the cause has gone: nothing is decided anew.
        add_user(at.connection, "nobody")
        before = books(at.connection)

        order(database_url, [event.event_id])
        run_until_ended(at, replays)

        assert at.accepts() == [event.answer]
        assert at.receipt(event.message) == ("answered", code, False, None)
        assert books(at.connection) == before


def test_a_resubmission_that_is_acknowledged_confirms_the_money_of_the_first_event(database_url: str) -> None:
    with bench(database_url, ACK) as at, replaying(at, database_url) as replays:
        first = ended(at)
        again = ended(at, age_seconds=2)
        assert again.answer["ErrorCode"] == 103804
        before = books(at.connection)

        order(database_url, [again.event_id])
        run_until_ended(at, replays)

        assert at.accepts() == [again.answer]
        assert at.receipt(first.message) == ("expired", 200, False, "no answer")
        assert at.receipt(again.message) == ("answered", 103804, False, None)
        assert books(at.connection) == before


def test_what_betcore_refuses_has_failed_and_the_event_stays_as_it_was(database_url: str) -> None:
    with bench(database_url, REFUSAL) as at, replaying(at, database_url) as replays:
        event = ended(at)
        before = books(at.connection), at.receipt(event.message)

        order(database_url, [event.event_id])
        run_until_ended(at, replays)

        assert replay_of(at, event.event_id) == ("failed", 1, 1, "HTTP 400, ErrorCode 103752")
        assert (books(at.connection), at.receipt(event.message)) == before
        assert outcomes(at) == {"failed": 1}
        attempts = at.connection.execute("SELECT attempts FROM receipts").fetchall()
        assert attempts == [(1,)]


def test_what_gets_no_acknowledgement_is_tried_again_until_it_is_enough(database_url: str) -> None:
    with bench(database_url, PASSING) as at, replaying(at, database_url, max_tries=3) as replays:
        event = ended(at)
        before = books(at.connection), at.receipt(event.message)

        order(database_url, [event.event_id])
        run_until_ended(at, replays)

        assert replay_of(at, event.event_id) == ("failed", 3, 3, "HTTP 200, ErrorCode 102823")
        assert accepts_of(at.connection, event.event_id) == [(200, 102823)] * 3
        assert len(at.accepts()) == 3
        assert (books(at.connection), at.receipt(event.message)) == before


def test_betcore_is_asked_again_while_the_window_lasts_and_not_after_it(database_url: str) -> None:
    with (
        bench(database_url, raw(b"")) as at,
        replaying(at, database_url, window_seconds=0, max_tries=9) as replays,
    ):
        event = ended(at)

        order(database_url, [event.event_id])
        run_until_ended(at, replays)

        state, tries, _, error = replay_of(at, event.event_id)
        assert (state, tries) == ("failed", 1)
        assert error
        assert at.receipt(event.message) == ("expired", 200, True, "no answer")


def test_one_that_is_acknowledged_in_the_end_was_not_refused_before(database_url: str) -> None:
    with bench(database_url, in_turn(PASSING, PASSING, ACK)) as at, replaying(at, database_url) as replays:
        event = ended(at)

        order(database_url, [event.event_id])
        run_until_ended(at, replays)

        assert at.accepts() == [event.answer] * 3
        assert replay_of(at, event.event_id) == ("answered", 3, 3, None)
        assert at.connection.execute("SELECT attempts FROM receipts").fetchall() == [(3,)]


def test_one_that_is_acknowledged_by_another_run_is_not_sent(database_url: str) -> None:
    with bench(database_url, ACK) as at, replaying(at, database_url) as replays:
        event = ended(at)
        order(database_url, [event.event_id])
        at.connection.execute("SELECT mark_answered(ARRAY[%s])", (event.event_id,))

        run_until_ended(at, replays)

        assert at.accepts() == []
        assert replay_of(at, event.event_id)[0] == "answered"


def test_what_a_stopping_worker_knows_it_writes(database_url: str) -> None:
    with bench(database_url, ACK) as at, sweeping(at, database_url, NO_BROKER) as sweeper:
        event = ended(at)
        order(database_url, [event.event_id])
        sweeper.replays.round()
        at.await_accepts(1)
        at.answering.close(timeout_seconds=END_SECONDS)

        sweeper.close()

        assert replay_of(at, event.event_id)[0] == "answered"
