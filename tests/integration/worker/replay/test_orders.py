"""Orders to replay: who may give them, whose turn an event is, and what becomes of workers that are lost."""

import re
import time

import psycopg
import pytest

from tests.support.accept_answers import ACK, PASSING, REFUSAL
from tests.support.accepts import sent_accept
from tests.support.betcore import cashback
from tests.support.books import add_user
from tests.support.handler_bench import Bench, bench
from tests.support.raw_betcore import in_turn, silence
from tests.support.replays import (
    EndedEvent,
    ended,
    order,
    outcomes,
    replay_of,
    replaying,
    run_until_ended,
)
from tests.support.roles import as_role
from worker.cli.queries.replay import WhyNot, choose_by_ids
from worker.domain.settlement import Done, State
from worker.ledger.accepts import accepts_by_event
from worker.replay.store import ReplayState
from worker.schema.roles import OPERATOR, ROLES


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


def test_an_order_has_its_bounds(database_url: str) -> None:
    with psycopg.connect(as_role(database_url, OPERATOR), autocommit=True) as operator:
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            operator.execute(
                "SELECT order_replay(array_fill(gen_random_uuid(), ARRAY[100001]), 10, 'anna', 'why')"
            )
        for rate, person, reason in (
            (0, "anna", "why"),
            (201, "anna", "why"),
            (1, "", "why"),
            (1, "anna", ""),
        ):
            with pytest.raises(psycopg.errors.CheckViolation):
                operator.execute("SELECT order_replay('{}', %s, %s, %s)", (rate, person, reason))


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
    with (
        bench(database_url, PASSING) as at,
        replaying(at, database_url, lease_seconds=0.0, max_tries=2) as lost,
    ):
        event = ended(at)
        order(database_url, [event.event_id])
        run_until_ended(at, lost)

        state, _, sent, error = replay_of(at, event.event_id)
        assert (state, sent) == ("failed", 0)
        assert "no answer of BETCORE's is known" in error
        assert outcomes(at) == {"failed": 1}


def test_the_rate_of_an_order_holds_over_all_workers_and_is_not_caught_up_with(database_url: str) -> None:
    with (
        bench(database_url, ACK) as at,
        replaying(at, database_url) as one,
        replaying(at, database_url) as other,
    ):
        events = [ended(at, cashback(number)) for number in range(1, 21)]
        order(database_url, [event.event_id for event in events], rate=1)
        # Nobody was there for an hour.
        at.connection.execute("UPDATE replay_orders SET next_due_at = next_due_at - interval '1 hour'")

        began_at = time.monotonic()
        for worker in (one, other) * 5:
            worker.round()
        took_seconds = time.monotonic() - began_at

        # Two seconds' worth at first, and then as many as there were seconds.
        taken = at.connection.execute("SELECT count(*) FROM replays WHERE tries > 0").fetchone()
        assert taken is not None
        assert 2 <= taken[0] <= 3 + took_seconds


def test_replays_leave_most_of_the_accepts_in_flight_to_fresh_events(database_url: str) -> None:
    with bench(database_url, silence, max_in_flight=10) as at, replaying(at, database_url) as replays:
        events = [ended(at, cashback(number)) for number in range(1, 5)]
        order(database_url, [event.event_id for event in events])

        for _ in range(3):
            replays.round()

        taken = at.connection.execute("SELECT count(*) FROM replays WHERE tries > 0").fetchall()
        assert taken == [(2,)]


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


def told(at: Bench, tries: int, state: str) -> None:
    at.connection.execute(
        "SELECT note_replays(ARRAY[replay_id], ARRAY[%s], ARRAY[%s], ARRAY['x'],"
        " ARRAY[NULL]::double precision[], %s) FROM replays",
        (tries, state, accepts_by_event([[sent_accept(1)]])),
    )


def test_who_lost_a_replay_ends_it_by_an_acknowledgement_alone(database_url: str) -> None:
    with bench(database_url, ACK) as at:
        event = ended(at)
        order(database_url, [event.event_id])
        for lease_seconds in (0, 600):
            at.connection.execute("SELECT claim_replays(10, %s, 600, 5)", (lease_seconds,))

        told(at, 1, "failed")
        assert replay_of(at, event.event_id)[:2] == ("open", 2)

        told(at, 1, "answered")
        assert replay_of(at, event.event_id)[:2] == ("answered", 2)
        assert at.receipt(event.message) == ("answered", 200, False, None)

        # And what the other one hears later changes nothing of it.
        for state in ("failed", "answered"):
            told(at, 2, state)
            assert replay_of(at, event.event_id)[:3] == ("answered", 2, 1)


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


def test_what_was_declined_and_is_paid_since_is_not_told_otherwise(database_url: str) -> None:
    with bench(database_url, ACK) as at, replaying(at, database_url) as replays:
        # Given two cashbacks that were declined, and BETCORE has heard nothing; one is ordered to be told,
        early, late = (ended(at, cashback(number, PartnerUserId="zoe")) for number in (1, 2))
        assert {early.answer["ErrorCode"], late.answer["ErrorCode"]} == {102145}
        assert order(database_url, [late.event_id])[1] == 1

        # when BETCORE makes both again, and they are paid,
        add_user(at.connection, "zoe")
        for number in (1, 2):
            again = at.message(cashback(number, PartnerUserId="zoe", Comment="once more"))
            assert at.handle(again) == Done(State.ANSWERED)
        told = len(at.accepts())

        # then neither is told to have been declined.
        with psycopg.connect(as_role(database_url, OPERATOR)) as operator:
            choice = choose_by_ids(operator, (early.event_id,))
        assert [(each.event_id, each.why) for each in choice.left_out] == [
            (early.event_id, WhyNot.POSTED_SINCE)
        ]
        assert order(database_url, [early.event_id]) == (None, None)
        run_until_ended(at, replays)
        state, _, _, error = replay_of(at, late.event_id)
        assert (state, error) == (
            "failed",
            "its cashback was posted since, for another event: BETCORE knows of that",
        )
        assert len(at.accepts()) == told


def test_an_acknowledgement_counts_though_the_lease_has_ended(database_url: str) -> None:
    with bench(database_url, ACK) as at, replaying(at, database_url, lease_seconds=0.0) as replays:
        event = ended(at)
        order(database_url, [event.event_id])

        run_until_ended(at, replays)

        assert at.receipt(event.message) == ("answered", 200, False, None)
