"""Replays: the same accept once more, with backoff, and never a credit."""

import re
from uuid import UUID

import psycopg
import pytest

from tests.support.accept_answers import ACK, PASSING, REFUSAL
from tests.support.betcore import cashback
from tests.support.books import add_user
from tests.support.handler_bench import Bench, bench
from tests.support.raw_betcore import in_turn, raw
from tests.support.replays import (
    EndedEvent,
    books,
    ended,
    open_replays,
    order,
    replay_of,
    replaying,
    run_until_ended,
)
from tests.support.roles import as_role
from worker.replay.store import ReplayState
from worker.schema.roles import ROLES


def outcomes(at: Bench) -> dict[str, float]:
    """Return what was counted of replays."""
    return {
        sample.labels["outcome"]: sample.value
        for metric in at.handler.metrics.replays.collect()
        for sample in metric.samples
        if sample.name == "cashback_replays_total"
    }


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


def test_an_order_takes_only_what_ended_badly_and_has_no_open_replay(database_url: str) -> None:
    with bench(database_url, ACK) as at, replaying(at, database_url) as replays:
        gone = ended(at, cashback(1))
        waiting = at.message(cashback(2))
        at.handler.handle(waiting, retries=0)  # settled, and its accept not sent
        answered = ended(at, cashback(3))
        at.connection.execute("SELECT mark_answered(ARRAY[%s])", (answered.event_id,))
        ids = [gone.event_id, waiting.event_id, answered.event_id, EndedEvent(at.message(), None).event_id]

        first, events = order(database_url, ids)
        again = order(database_url, ids)

        assert events == 1
        assert first is not None
        assert again == (None, None)
        assert at.connection.execute("SELECT count(*) FROM replay_orders").fetchall() == [(1,)]
        run_until_ended(at, replays)
        assert order(database_url, ids) == (None, None)


def test_after_one_that_failed_a_new_one_may_be_ordered(database_url: str) -> None:
    with bench(database_url, in_turn(REFUSAL, ACK)) as at, replaying(at, database_url) as replays:
        event = ended(at)
        for _ in range(2):
            assert order(database_url, [event.event_id])[1] == 1
            run_until_ended(at, replays)

        assert replay_of(at, event.event_id)[0] == "answered"
        assert at.receipt(event.message) == ("answered", 200, False, None)


def test_two_workers_send_one_accept_for_each_event(database_url: str) -> None:
    with (
        bench(database_url, ACK) as at,
        replaying(at, database_url) as one,
        replaying(at, database_url) as other,
    ):
        events = [ended(at, cashback(number)) for number in range(1, 31)]

        order(database_url, [event.event_id for event in events])
        run_until_ended(at, one, other)

        assert sorted(body["Value"]["CashbackId"] for body in at.accepts()) == list(range(1, 31))
        assert outcomes(at) == {"answered": 30}


def test_what_a_lost_worker_had_in_hand_another_one_sends(database_url: str) -> None:
    with (
        bench(database_url, ACK) as at,
        replaying(at, database_url, lease_seconds=0.0) as lost,
        replaying(at, database_url) as heir,
    ):
        event = ended(at)
        order(database_url, [event.event_id])
        lost.round()
        at.await_accepts(1)

        # What the lost one knows is not written: its lease has ended.
        run_until_ended(at, heir)
        lost.note()

        assert at.accepts() == [event.answer] * 2
        assert replay_of(at, event.event_id) == ("answered", 2, 1, None)


def test_what_every_worker_is_lost_with_fails_in_the_end(database_url: str) -> None:
    with bench(database_url, ACK) as at, replaying(at, database_url, lease_seconds=0.0, max_tries=2) as lost:
        event = ended(at)
        order(database_url, [event.event_id])
        run_until_ended(at, lost)

        state, _, sent, error = replay_of(at, event.event_id)
        assert (state, sent) == ("failed", 0)
        assert "no answer of BETCORE's is known" in error
        assert outcomes(at) == {"failed": 1}


def test_one_that_is_acknowledged_by_another_run_is_not_sent(database_url: str) -> None:
    with bench(database_url, ACK) as at, replaying(at, database_url) as replays:
        event = ended(at)
        order(database_url, [event.event_id])
        at.connection.execute("SELECT mark_answered(ARRAY[%s])", (event.event_id,))

        run_until_ended(at, replays)

        assert at.accepts() == []
        assert replay_of(at, event.event_id)[0] == "answered"


def test_the_rate_of_an_order_holds_over_all_workers_and_is_not_caught_up_with(database_url: str) -> None:
    with (
        bench(database_url, ACK) as at,
        replaying(at, database_url) as one,
        replaying(at, database_url) as other,
    ):
        events = [ended(at, cashback(number)) for number in range(1, 12)]
        order(database_url, [event.event_id for event in events], rate=1)
        # Nobody was there for an hour.
        at.connection.execute("UPDATE replay_orders SET next_due_at = next_due_at - interval '1 hour'")

        for worker in (one, other):
            worker.round()

        # Two seconds' worth, and on a slow machine one more for each second that it took.
        taken = at.connection.execute("SELECT count(*) FROM replays WHERE tries > 0").fetchone()
        assert taken is not None
        assert 2 <= taken[0] < 11
        assert open_replays(at) >= 1


def test_an_order_is_on_record_for_each_of_its_events(database_url: str) -> None:
    with bench(database_url, ACK) as at:
        events = [ended(at, cashback(number)) for number in (1, 2)]
        number, _ = order(database_url, [event.event_id for event in events], rate=7)

        records = at.connection.execute(
            "SELECT subject, action, person, reason, before, after FROM audit ORDER BY subject"
        ).fetchall()

    assert [record[0] for record in records] == sorted(str(event.event_id) for event in events)
    assert {record[1:4] for record in records} == {("replay", "anna@desk", "ticket 7")}
    assert records[0][4] == {"state": "expired", "code": 200, "unconfirmed": True}
    assert records[0][5] == {"order_id": number, "rate": 7}


@pytest.mark.parametrize("role", ROLES)
def test_no_role_writes_to_replays_itself(database_url: str, role: str) -> None:
    with psycopg.connect(as_role(database_url, role), autocommit=True) as connection:
        for statement in ("DELETE FROM replays", "UPDATE replay_orders SET rate = 200"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())


def test_old_replays_and_their_orders_are_pruned_and_open_ones_stay(database_url: str) -> None:
    with bench(database_url, ACK) as at, replaying(at, database_url) as replays:
        done, waiting = ended(at, cashback(1)), ended(at, cashback(2))
        order(database_url, [done.event_id])
        run_until_ended(at, replays)
        replays.round()
        order(database_url, [waiting.event_id])

        assert at.connection.execute("SELECT prune_replays(1000, 10)").fetchall() == [(0,)]
        assert at.connection.execute("SELECT prune_replays(-1, 10)").fetchall() == [(1,)]

        assert at.connection.execute("SELECT event_id FROM replays").fetchall() == [(waiting.event_id,)]
        assert at.connection.execute("SELECT count(*) FROM replay_orders").fetchall() == [(1,)]


def test_the_states_are_those_of_the_schema(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        (definition,) = connection.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid = 'replays'::regclass AND conname = 'replays_state_check'"
        ).fetchone() or ("",)

    assert set(re.findall(r"'(\w+)'::text", definition)) == set(ReplayState)
