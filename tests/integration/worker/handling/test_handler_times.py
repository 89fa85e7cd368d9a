"""What the handler does at the cut-off and the deadline, and with a cancel that waits; on the real ledger."""

import socket

from tests.support.accept_answers import ACK, AMOUNT_MINOR, PASSING
from tests.support.betcore import cashback
from tests.support.books import SOUND, audit
from tests.support.handler_bench import bench, let_an_hour_go_by
from tests.support.raw_betcore import Peer, Request
from worker.domain.settlement import Done, GiveUp, RetryAt, State
from worker.errors import DeadlineExceeded, PayoutNotHere

NO_ATTEMPT = "no attempt reached BETCORE before the deadline"


def test_at_the_deadline_a_credited_event_expires_unconfirmed(database_url: str) -> None:
    with bench(database_url, PASSING, cutoff_seconds=600, deadline_seconds=900) as on:
        message = on.message()
        on.handle(message)
        moved = let_an_hour_go_by(on.connection)

        step = on.handle(message)

        assert moved == 1
        assert isinstance(step, GiveUp)
        assert isinstance(step.error, DeadlineExceeded)
        assert on.receipt(message) == ("expired", 200, True, "HTTP 200, ErrorCode 102823")
        assert len(on.accepts()) == 1
        assert on.balance() == AMOUNT_MINOR


def test_an_event_past_its_deadline_is_not_credited_and_expires(database_url: str) -> None:
    with bench(database_url, ACK, cutoff_seconds=20, deadline_seconds=30) as on:
        message = on.message(age_seconds=40)

        step = on.handle(message)

        assert isinstance(step, GiveUp)
        assert isinstance(step.error, DeadlineExceeded)
        assert on.receipt(message) == ("expired", 102823, False, NO_ATTEMPT)
        assert on.accepts() == []
        assert on.balance() == 0


def test_an_event_past_its_cutoff_is_answered_102823(database_url: str) -> None:
    with bench(database_url, ACK, cutoff_seconds=20, deadline_seconds=900) as on:
        assert on.handle(on.message(age_seconds=40)) == Done(State.ANSWERED)

        assert [body["ErrorCode"] for body in on.accepts()] == [102823]
        assert on.balance() == 0


def test_a_resubmission_past_its_cutoff_still_hears_of_the_payout_that_stands(database_url: str) -> None:
    with bench(database_url, ACK, cutoff_seconds=20, deadline_seconds=900) as on:
        on.handle(on.message())
        on.handle(on.message(age_seconds=40))

        first, second = on.accepts()
        assert (first["ErrorCode"], second["ErrorCode"]) == (200, 103804)
        assert first["Value"] == second["Value"]


def test_a_cancel_waits_for_its_payout_and_then_reverses_it(database_url: str) -> None:
    with bench(database_url, ACK) as on:
        cancel = on.message(cashback(TransactionType=-1))

        step = on.handle(cancel, retries=1)
        on.handle(on.message())
        balance_between = on.balance()
        end = on.handle(cancel, retries=2)

        assert isinstance(step, RetryAt)
        assert isinstance(step.error, PayoutNotHere)
        assert step.delay_seconds == 0.5
        assert (balance_between, on.balance()) == (AMOUNT_MINOR, 0)
        assert end == Done(State.ANSWERED)
        assert [body["ErrorCode"] for body in on.accepts()] == [200, 200]
        assert audit(on.connection) == SOUND


def test_a_cancel_without_a_payout_is_answered_102823_at_its_cutoff(database_url: str) -> None:
    with bench(database_url, ACK, cutoff_seconds=20, deadline_seconds=900) as on:
        cancel = on.message(cashback(TransactionType=-1), age_seconds=40)

        assert on.handle(cancel) == Done(State.ANSWERED)

        assert [body["ErrorCode"] for body in on.accepts()] == [102823]


def test_an_answer_that_came_after_all_wins_over_expired(database_url: str) -> None:
    def expire_meanwhile(peer: Peer, connection: socket.socket, request: Request) -> None:
        on.handler.ledger.close(message.event_id, State.EXPIRED, error="another run")
        ACK(peer, connection, request)

    with bench(database_url, expire_meanwhile) as on:
        message = on.message()

        step = on.handle(message)
        on.close_answered_marks()

        assert step == Done(State.ANSWERED)
        assert on.receipt(message) == ("answered", 200, False, None)
