"""An event that is overdue is sent on when nobody has it, and once; real PostgreSQL, real Valkey."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from cashback_client.contract import QUEUE, SettleMessage
from tests.support.sent_on import Recovery, entry_of, recovery

SWEEPS = 5


@pytest.fixture
def at(database_url: str, redis_url: str) -> Iterator[Recovery]:
    with recovery(database_url, redis_url) as made:
        yield made


def sweep_again_and_again(at: Recovery) -> None:
    """Sweep as often as sweeps come while retries are late."""
    for _ in range(SWEEPS):
        at.all_overdue()
        at.sweeper.sweep()


def near_its_end(at: Recovery) -> None:
    """Let the deadline of all events be three seconds from now."""
    at.at.connection.execute("ALTER TABLE receipts DISABLE TRIGGER receipts_guard")
    at.at.connection.execute(
        "UPDATE receipts SET credit_cutoff_at = clock_timestamp() + interval '2 s',"
        " deadline_at = clock_timestamp() + interval '3 s'"
    )
    at.at.connection.execute("ALTER TABLE receipts ENABLE TRIGGER receipts_guard")


def test_settled_events_that_nobody_has_are_sent_on_and_only_once(at: Recovery) -> None:
    events = [at.settled(number).event_id for number in range(1, 31)]

    sweep_again_and_again(at)

    assert at.messages() == dict.fromkeys(events, 1)


def test_a_retry_that_a_worker_keeps_until_it_is_due_is_not_sent_on(at: Recovery) -> None:
    events = [at.settled(number) for number in range(1, 31)]
    for event in events:
        at.broker.publish(event)
    at.worker().take(20)

    sweep_again_and_again(at)

    assert at.messages() == {event.event_id: 1 for event in events}


def test_what_a_dead_worker_had_is_given_back_and_not_sent_on_beside_it(at: Recovery) -> None:
    at.broker.publish(at.settled(1))
    worker = at.worker()
    worker.take()
    worker.dies()

    sweep_again_and_again(at)

    assert list(at.messages().values()) == [1]


def test_what_redis_lost_is_sent_on_again(at: Recovery) -> None:
    event = at.settled(1)
    at.broker.publish(event)
    sweep_again_and_again(at)
    at.client.flushall()
    at.all_overdue()

    at.sweeper.sweep()

    assert at.messages() == {event.event_id: 1}


def test_an_undecided_event_that_was_sent_on_waits_for_its_turn(at: Recovery) -> None:
    event = at.received(1)

    sweep_again_and_again(at)

    assert at.messages() == {event.event_id: 1}


def test_an_undecided_event_in_the_hands_of_a_worker_that_does_not_come_to_it_is_sent_on(
    at: Recovery,
) -> None:
    event = at.received(1)
    at.broker.publish(event)
    at.worker().take()

    sweep_again_and_again(at)

    assert at.messages() == {event.event_id: 2}


@pytest.mark.parametrize("claimed_by", ["a worker that is stuck", "an entry that lies"])
def test_shortly_before_its_end_an_event_is_sent_on_whoever_has_it(at: Recovery, claimed_by: str) -> None:
    event = at.settled(1)
    message = (
        event
        if claimed_by == "a worker that is stuck"
        else SettleMessage(token="an.other.token", received_at_ms=event.received_at_ms)
    )
    lie = entry_of(message).replace(str(message.event_id).encode(), str(event.event_id).encode())
    at.client.lpush("cashback.retry", lie)
    at.worker().take()
    sweep_again_and_again(at)
    assert at.client.llen("cashback.retry") == 0

    near_its_end(at)
    at.all_overdue()
    at.sweeper.sweep()

    assert at.client.llen("cashback.retry") == 1
    # It is held until its end.
    at.sweeper.sweep()
    assert at.client.llen("cashback.retry") == 1


def test_shortly_before_its_end_an_event_that_still_waits_for_its_turn_is_not_sent_on_behind_itself(
    at: Recovery,
) -> None:
    event = at.settled(1)
    at.broker.publish(event)
    near_its_end(at)
    at.all_overdue()

    at.sweeper.sweep()

    assert at.messages() == {event.event_id: 1}


@pytest.mark.parametrize("seconds", [-3_000, 3_000], ids=["long ago", "in the future"])
def test_what_a_stranger_writes_at_the_head_is_not_believed(at: Recovery, seconds: int) -> None:
    # Given a lost event, one that was received after it and waits in the queue,
    lost, waiting = at.received(1), at.received(2)
    at.wait(waiting)
    # and at the head an entry that nobody vouches for, with a time of its own,
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    forged = SettleMessage(token="no.such.event", received_at_ms=int(moment.timestamp() * 1000))
    at.client.rpush(QUEUE, entry_of(forged))

    sweep_again_and_again(at)

    # then the lost one is found to be lost, and the waiting one is left to the queue.
    assert at.messages() == {lost.event_id: 1, waiting.event_id: 1, forged.event_id: 1}


def test_where_nothing_at_the_head_is_known_all_is_left_to_the_queue(at: Recovery) -> None:
    at.received(1)
    at.client.rpush(QUEUE, *[b"garbage"] * 50)

    sweep_again_and_again(at)

    assert not at.messages()


def test_each_time_that_an_event_is_looked_at_it_is_held_for_longer_and_never_for_more_than_half_its_time(
    at: Recovery,
) -> None:
    for age_seconds in (10, 200, 500, 800):
        at.settled(age_seconds)
    at.at.connection.execute("ALTER TABLE receipts DISABLE TRIGGER receipts_guard")
    at.at.connection.execute(
        "UPDATE receipts SET next_attempt_at = clock_timestamp(),"
        " settled_at = clock_timestamp() - make_interval(secs => cashback_id),"
        " deadline_at = clock_timestamp() + make_interval(secs => 900 - cashback_id),"
        " credit_cutoff_at = clock_timestamp() + make_interval(secs => 899 - cashback_id)"
    )
    at.at.connection.execute("ALTER TABLE receipts ENABLE TRIGGER receipts_guard")

    at.sweeper.sweep()

    held = at.at.connection.execute(
        "SELECT extract(epoch FROM next_attempt_at - clock_timestamp())::float8 FROM receipts"
        " ORDER BY cashback_id"
    ).fetchall()
    # Of 900 s in all, and never less than 60 s.
    assert [seconds for (seconds,) in held] == [
        pytest.approx(expected, abs=30) for expected in (60, 100, 200, 60)
    ]
