"""Each accept that was sent is on record with its receipt: when, by whom, and what came of it."""

import socket
import threading
import time
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg.rows import namedtuple_row

from cashback_client.contract import SettleMessage
from tests.support.accept_answers import ACK, PASSING, REFUSAL
from tests.support.accepts import sent_accept
from tests.support.handler_bench import WORKER, Bench, bench, let_an_hour_go_by
from tests.support.raw_betcore import Peer, Request, in_turn, raw, reply, silence
from tests.support.renewing import Renewing
from worker.domain.settlement import Done, GiveUp, State, Step
from worker.handling.attempt import Answer

BROKEN = reply(503, b"<html><h1>503 Service\n\nUnavailable</h1>")
CUT = raw(b"")
WAIT_SECONDS = 120


def on_record(on: Bench, message: SettleMessage) -> list[Any]:
    """Return the accepts of an event, in their order, once the marks are written."""
    on.close_answered_marks()
    with on.connection.cursor(row_factory=namedtuple_row) as cursor:
        return cursor.execute(
            "SELECT accept.*, attempts FROM receipts, unnest(accepts) AS accept WHERE event_id = %s",
            (message.event_id,),
        ).fetchall()


def came_to(accepts: list[Any]) -> list[tuple[Any, ...]]:
    return [(each.status, each.code, each.detail) for each in accepts]


def test_every_accept_of_an_event_is_on_record_in_its_order(database_url: str) -> None:
    # Given an event whose accept BETCORE puts off, cuts, answers with a page, and acknowledges
    with bench(database_url, in_turn(PASSING, CUT, BROKEN, ACK)) as on:
        message, begin = on.message(), datetime.now(UTC)
        for retries in range(4):
            last = on.handle(message, retries=retries)
        assert last == Done(State.ANSWERED)

        accepts = on_record(on, message)

        put_off, cut, page, good = came_to(accepts)
        assert put_off == (200, 102823, "Error accepting transaction")
        assert cut[:2] == (None, None)
        assert cut[2].startswith("ConnectError: connection closed")
        assert page == (503, None, "<html><h1>503 Service Unavailable</h1>")
        assert good[:2] == (200, 200)
        assert {(each.worker, each.attempts) for each in accepts} == {(WORKER, 4)}
        assert all(0 <= each.duration_ms < 1000 * WAIT_SECONDS for each in accepts)
        moments = [each.sent_at for each in accepts]
        assert moments == sorted(moments)
        assert begin - timedelta(seconds=1) < moments[0]


def test_a_refused_event_has_its_accepts(database_url: str) -> None:
    with bench(database_url, in_turn(BROKEN, REFUSAL)) as on:
        message = on.message()
        for retries in range(2):
            last = on.handle(message, retries=retries)
        assert isinstance(last, GiveUp)

        assert came_to(on_record(on, message))[1:] == [(400, 103752, "Incorrect request parameters")]


def test_an_expired_event_has_the_accept_that_got_no_answer(database_url: str) -> None:
    with bench(database_url, silence, deadline_seconds=2.0, cutoff_seconds=1.5) as on:
        message = on.message()
        assert isinstance(on.handle(message), GiveUp)

        ((status, code, detail),) = came_to(on_record(on, message))
        assert (status, code) == (None, None)
        assert "Timeout" in detail


def test_an_accept_that_hangs_and_is_sent_again_makes_two(database_url: str) -> None:
    shift = [0.0]
    with bench(database_url, in_turn(silence, ACK), monotonic=lambda: time.monotonic() + shift[0]) as on:
        message = on.message()
        answer = on.handler.handle(message, retries=0)
        assert isinstance(answer, Answer)
        step: Future[Step] = Future()
        on.answering.send(answer, step.set_result)
        on.await_accepts(1)
        # Given the last moments of the event
        shift[0] = on.handler.timing.deadline_seconds - 2.5
        assert step.result(WAIT_SECONDS) == Done(State.ANSWERED)

        hung, good = on_record(on, message)
        assert (hung.status, hung.detail) == (None, "no answer when another accept was answered")
        assert (good.status, good.code) == (200, 200)
        assert hung.duration_ms >= 1000 * shift[0]


def test_a_401_that_is_sent_again_at_once_makes_two(database_url: str) -> None:
    with bench(database_url, in_turn(reply(401, b""), ACK), bearers=Renewing()) as on:
        message = on.message()
        on.handle(message)

        assert [(each.status, each.code) for each in on_record(on, message)] == [(401, None), (200, 200)]


def test_no_token_stands_on_record(database_url: str) -> None:
    def repeats(peer: Peer, connection: socket.socket, request: Request) -> None:
        said = f"what is Bearer {request.bearer} or {message.token} \x00\x7f?" + "x" * 5_000
        reply(502, said.encode())(peer, connection, request)

    with bench(database_url, repeats, bearers=Renewing("s3cret")) as on:
        message = on.message()
        on.handle(message)

        ((_, _, said),) = came_to(on_record(on, message))
        assert said.startswith("what is Bearer *** or *** ?xxx")
        assert len(said) == 120


def test_what_comes_after_the_sweep_has_closed_an_event_is_on_record(database_url: str) -> None:
    # Given an event whose accept is in flight when the sweep closes it
    release = threading.Event()

    def held(peer: Peer, connection: socket.socket, request: Request) -> None:
        release.wait(WAIT_SECONDS)
        BROKEN(peer, connection, request)

    with bench(database_url, held) as on:
        message = on.message()
        answer = on.handler.handle(message, retries=0)
        assert isinstance(answer, Answer)
        step: Future[Step] = Future()
        on.answering.send(answer, step.set_result)
        on.await_accepts(1)
        let_an_hour_go_by(on.connection)
        assert on.connection.execute("SELECT expired FROM expire_overdue(10)").fetchone() == (1,)

        # When its answer comes
        release.set()
        step.result(WAIT_SECONDS)

        # Then it is there, and the event stays as it was
        ((status, _, _),) = came_to(on_record(on, message))
        assert status == 503
        state, *_ = on.receipt(message) or ()
        assert state == "expired"


@pytest.mark.parametrize("end", ["mark", "close", "postpone"])
def test_what_was_put_on_record_is_not_put_there_again(database_url: str, end: str) -> None:
    with bench(database_url, ACK) as on:
        message, ledger = on.message(), on.handler.ledger
        on.handle(message)
        assert len(on_record(on, message)) == 1
        versions = []
        for _ in range(2):
            # The first reply was lost, say.
            if end == "mark":
                assert (
                    ledger.mark_answered([message.event_id], sent={message.event_id: [sent_accept(1)]}) == 0
                )
            elif end == "close":
                assert not ledger.close(message.event_id, State.REFUSED, error="e", sent=[sent_accept(1)])
            else:
                assert not ledger.postpone(
                    message.event_id, delay_seconds=1, error="e", sent=[sent_accept(1)]
                )
            versions += on.connection.execute("SELECT xmin::text FROM receipts").fetchall()

        assert versions[0] == versions[1]
        first, second = on_record(on, message)
        assert first.worker == "here:1"  # an hour ago by its own clock, and so before the other
        assert (second.worker, second.attempts) == (WORKER, 2)


def test_of_very_many_the_first_and_the_last_are_kept(database_url: str) -> None:
    with bench(database_url, BROKEN) as on:
        message = on.message()
        on.handle(message)
        for second in range(0, 60, 3):
            sent = [sent_accept(second + each) for each in range(3)]
            on.handler.ledger.postpone(message.event_id, delay_seconds=9, error="e", sent=sent)

        accepts = on_record(on, message)

        assert len(accepts) == 40
        assert accepts[0].attempts == 61
        kept = [each.detail.rpartition(" ")[2] for each in accepts[:-1]]
        assert kept == [str(second) for second in (*range(20), *range(41, 60))]
        assert accepts[-1].status == 503
