"""A pause of the intake, on a receiver that runs: makes and partners wait, what is in hand does not."""

from collections.abc import Iterator

import psycopg
import pytest
import redis

from cashback_client.contract import QUEUE
from deploy.local.processes import wait_until
from tests.support.betcore import cashback
from tests.support.books import ledger_on, new_event, payout
from tests.support.partner_keys import KEYS, PATIENT, event_of, hand_in, kinds_of, results_of, state_of, why
from tests.support.receiver import RunningReceiver, running_receiver
from tests.support.roles import as_role
from worker.schema.roles import OPERATOR

WAIT_SECONDS = 120


@pytest.fixture
def operator(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(as_role(database_url, OPERATOR), autocommit=True) as connection:
        yield connection


def close(operator: psycopg.Connection) -> None:
    operator.execute("SELECT pause_intake('anna@desk', 'new disks', 1200)")


def wait_until_paused(receiver: RunningReceiver, *, paused: bool) -> None:
    wait_until(
        lambda: (receiver.metric("cashback_intake_paused_until_seconds") > 0) is paused,
        what="the receiver has heard of it",
        timeout_seconds=WAIT_SECONDS,
    )


def on_record(connection: psycopg.Connection, redis_url: str) -> tuple[int, int]:
    """Return how many receipts there are, and how many messages."""
    [(receipts,)] = connection.execute("SELECT count(*) FROM receipts").fetchall()
    with redis.Redis.from_url(redis_url) as client:
        return receipts, int(client.llen(QUEUE))


def test_a_pause_closes_the_intake_and_nothing_else_until_it_is_opened_or_over(
    redis_url: str, database_url: str, operator: psycopg.Connection
) -> None:
    with running_receiver(
        redis_url=redis_url, database_url=database_url, partner_keys=KEYS, **PATIENT
    ) as receiver:
        # Given an event that a partner has handed in,
        given = event_of(receiver, 1)
        [taken] = results_of(hand_in(receiver, [given]))

        # when the intake is closed,
        close(operator)
        wait_until_paused(receiver, paused=True)
        before = on_record(operator, redis_url)
        make, of_partner = receiver.make_event(), hand_in(receiver, [event_of(receiver, 2)])

        # then nothing is taken, and nothing of it is kept,
        assert (make.status_code, make.json()["ErrorCode"]) == (503, 102823)
        assert why(of_partner) == (503, "paused")
        assert {reply.headers["Retry-After"] for reply in (make, of_partner)} == {"30"}
        assert on_record(operator, redis_url) == before
        # while what was taken is settled, and it is told how it stands, and that the intake is closed,
        assert state_of(receiver, taken["event_id"]).json()["state"] == "received"
        with ledger_on(database_url) as ledger:
            ledger.settle(new_event(1, token=str(given["token"])), payout(1, "ann", "10"))
        assert state_of(receiver, taken["event_id"]).json()["state"] == "settled"
        ready = receiver.ready_anew()
        assert ready.status_code == 200
        assert ready.json()["parts"]["intake"].endswith(" by anna@desk")
        assert receiver.metric("cashback_makes_total", outcome="unavailable", reason="paused") == 1

        # and another receiver that begins now is closed from its first make on.
        with running_receiver(redis_url=redis_url, database_url=database_url, **PATIENT) as other:
            assert other.make_event().status_code == 503

        operator.execute("SELECT resume_intake('bob@desk', 'they are in')")
        wait_until_paused(receiver, paused=False)
        assert receiver.make_event(cashback(3)).status_code == 200
        assert kinds_of(hand_in(receiver, [event_of(receiver, 4)])) == ["accepted"]
        assert "intake" not in receiver.ready_anew().json()["parts"]

        # One that nobody ends is over at its time, which comes here by the owner's hand.
        close(operator)
        wait_until_paused(receiver, paused=True)
        with psycopg.connect(database_url) as owner:
            owner.execute("UPDATE intake SET paused_until = clock_timestamp()")
        wait_until_paused(receiver, paused=False)
        assert receiver.make_event(cashback(5)).status_code == 200
