"""What the record tells of accepts: how many were sent, and what BETCORE said last."""

import pytest

from tests.support.accept_answers import ACK, PASSING, REFUSAL
from tests.support.books import payout
from tests.support.handler_bench import USER, Bench, bench, let_an_hour_go_by
from tests.support.raw_betcore import Answering, in_turn, raw, reply
from worker.domain.settlement import Done, GiveUp, RetryAt
from worker.ledger.ledger import VerifiedEvent

BROKEN = reply(503, b"<html>")
CUT = raw(b"")
LAST_ANSWER = "HTTP 503 without BETCORE's envelope"
NO_ATTEMPT = "no attempt reached BETCORE before the deadline"
NO_ANSWER = "no answer of BETCORE's is known"


def attempts(on: Bench) -> int:
    """Return how many accepts are on record for the one event."""
    row = on.connection.execute("SELECT attempts FROM receipts").fetchone()
    assert row is not None
    return int(row[0])


def last_error(on: Bench) -> str:
    """Return what went wrong last with the one event."""
    row = on.connection.execute("SELECT last_error FROM receipts").fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize(
    ("answers", "sent"),
    [((ACK,), 1), ((BROKEN, ACK), 2), ((BROKEN, CUT, PASSING, ACK), 4), ((BROKEN, REFUSAL), 2)],
    ids=["at once", "the second time", "the fourth time", "refused the second time"],
)
def test_the_record_counts_the_accepts_that_were_sent(
    database_url: str, answers: tuple[Answering, ...], sent: int
) -> None:
    with bench(database_url, in_turn(*answers)) as on:
        message = on.message()
        for retries in range(sent):
            last = on.handle(message, retries=retries)
        on.close_answered_marks()

        assert isinstance(last, Done | GiveUp)
        assert attempts(on) == len(on.accepts()) == sent


def test_a_run_that_sends_nothing_is_no_attempt(database_url: str) -> None:
    with bench(database_url, ACK, max_in_flight=0) as on:
        assert isinstance(on.handle(on.message()), RetryAt)

        assert attempts(on) == 0


@pytest.mark.parametrize(
    "answers", [(BROKEN, CUT), (BROKEN, CUT, CUT), (PASSING, CUT, BROKEN, CUT)], ids=["1", "2", "another"]
)
def test_an_event_that_expires_keeps_betcores_last_answer(
    database_url: str, answers: tuple[Answering, ...]
) -> None:
    with bench(database_url, in_turn(*answers)) as on:
        message = on.message()
        for retries in range(len(answers)):
            on.handle(message, retries=retries)

        on.connection.execute("SELECT close_event(%s, 'expired', NULL)", (message.event_id,))

        assert last_error(on).startswith("ConnectError: connection closed")
        assert last_error(on).endswith(f"; last answer: {LAST_ANSWER}")
        assert last_error(on).count("last answer") == 1


def test_an_end_for_want_of_time_overwrites_nothing(database_url: str) -> None:
    with bench(database_url, BROKEN) as on:
        message = on.message()
        on.handle(message)
        let_an_hour_go_by(on.connection)

        assert isinstance(on.handle(message, retries=1), GiveUp)

        assert (last_error(on), attempts(on)) == (LAST_ANSWER, 1)


def test_no_attempt_is_said_only_where_none_can_have_been(database_url: str) -> None:
    with bench(database_url, ACK, cutoff_seconds=20, deadline_seconds=30) as on:
        on.handle(on.message(age_seconds=40))

        assert last_error(on) == NO_ATTEMPT


@pytest.mark.parametrize(("runs", "said"), [(0, NO_ATTEMPT), (1, NO_ANSWER)])
def test_the_sweep_says_so_only_of_an_event_that_no_worker_had(
    database_url: str, runs: int, said: str
) -> None:
    with bench(database_url, ACK) as on:
        message = on.message()
        on.handler.ledger.settle(
            VerifiedEvent(
                event_id=message.event_id,
                token=message.token,
                cashback_id=480,
                received_at=message.received_at,
            ),
            payout(480, USER, "1"),
        )
        on.connection.execute("UPDATE receipts SET runs = %s", (runs,))
        let_an_hour_go_by(on.connection)
        let_an_hour_go_by(on.connection)

        assert on.connection.execute("SELECT expired FROM expire_overdue(10)").fetchone() == (1,)

        assert last_error(on) == said
