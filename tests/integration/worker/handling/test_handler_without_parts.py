"""What the handler does while PostgreSQL or the keys are away: it never guesses, and nothing is lost."""

import time

import pytest

from cashback_client.contract import MAX_RECEIVED_AT_MS
from deploy.local.postgres import PostgresServer
from deploy.local.processes import wait_until
from producer.protocol.errors import KeysUnavailable, UnknownKey
from tests.support.books import SOUND, audit
from tests.support.handler_bench import bench, jwks
from tests.support.raw_betcore import Answering, in_turn, reply
from tests.support.tcp_proxy import proxy_to, through
from worker.domain.settlement import Done, GiveUp, RetryAt, State, Step
from worker.errors import LedgerUnavailable

ACK = reply(200)
AWAY = reply(503, b"")
AMOUNT_MINOR = 100_050


def test_a_commit_whose_reply_was_lost_is_found_and_credited_once(
    database_url: str, postgres_server: PostgresServer
) -> None:
    with (
        proxy_to("127.0.0.1", postgres_server.port) as proxy,
        bench(database_url, ACK, ledger_url=through(database_url, proxy.port)) as on,
    ):
        message = on.message()
        proxy.cut_on = message.token.encode()

        in_doubt = on.handle(message)
        balance_in_doubt = on.balance()
        accepts_in_doubt = len(on.accepts())
        noted_in_doubt = on.handler.commit_notes.take()
        end = on.handle(message, retries=1)
        on.close_answered_marks()

        assert proxy.cuts == 1
        assert noted_in_doubt == []
        assert [commit.name for commit in on.handler.commit_notes.take()] == ["480-1"]
        assert isinstance(in_doubt, RetryAt)
        assert isinstance(in_doubt.error, LedgerUnavailable)
        assert (balance_in_doubt, accepts_in_doubt) == (AMOUNT_MINOR, 0)
        assert end == Done(State.ANSWERED)
        assert [body["ErrorCode"] for body in on.accepts()] == [200]
        assert on.balance() == AMOUNT_MINOR
        assert on.receipt(message) == ("answered", 200, False, None)
        assert audit(on.connection) == SOUND


def test_while_postgresql_is_frozen_betcore_hears_nothing(
    database_url: str, postgres_server: PostgresServer
) -> None:
    with bench(database_url, ACK, ledger_timeout_seconds=1.5) as on:
        on.handle(on.message(age_seconds=1))
        message = on.message()
        postgres_server.freeze()
        try:
            step = on.handle(message, retries=1)
        finally:
            postgres_server.thaw()

        assert isinstance(step, RetryAt)
        assert isinstance(step.error, LedgerUnavailable)
        assert step.delay_seconds == 0.5
        assert len(on.accepts()) == 1
        wait_until(
            lambda: on.handle(message) == Done(State.ANSWERED),
            what="PostgreSQL is used again",
            timeout_seconds=120,
        )
        assert on.accepts()[1]["ErrorCode"] == 103804
        assert on.balance() == AMOUNT_MINOR


def test_while_postgresql_is_away_past_the_deadline_only_the_record_is_waited_for(
    database_url: str, postgres_server: PostgresServer
) -> None:
    with bench(database_url, ACK, cutoff_seconds=20, deadline_seconds=30, ledger_timeout_seconds=0.5) as on:
        message = on.message(age_seconds=40)
        postgres_server.freeze()
        try:
            step = on.handle(message, retries=3)
        finally:
            postgres_server.thaw()

        assert isinstance(step, RetryAt)
        assert step.delay_seconds == 4.0  # half of 1 s doubled three times
        assert on.accepts() == []


@pytest.mark.parametrize(
    ("keys", "error"), [(AWAY, KeysUnavailable), (jwks(2), UnknownKey)], ids=["endpoint away", "unknown key"]
)
def test_without_the_key_nothing_is_credited_and_it_is_tried_again(
    database_url: str, keys: Answering, error: type[Exception]
) -> None:
    with bench(database_url, ACK, keys=in_turn(keys, jwks(1))) as on:
        message = on.message()

        step = on.handle(message, retries=1)
        balance_without = on.balance()
        end = on.handle(message, retries=2)

        assert isinstance(step, RetryAt)
        assert isinstance(step.error, error)
        assert step.delay_seconds == 0.5
        assert balance_without == 0
        assert end == Done(State.ANSWERED)
        assert on.balance() == AMOUNT_MINOR


def test_without_the_key_a_received_event_is_answered_102823_at_its_cutoff(database_url: str) -> None:
    with bench(database_url, ACK, keys=AWAY, cutoff_seconds=20, deadline_seconds=900) as on:
        message = on.message(age_seconds=40)
        on.connection.execute(
            "SELECT record_receipt(%s, %s, 480, %s, 20, 900, 3)",
            (message.event_id, message.token, message.received_at),
        )

        step = on.handle(message)

        assert step == Done(State.ANSWERED)
        (body,) = on.accepts()
        assert (body["ErrorCode"], body["Value"]) == (102823, {"CashbackId": 480})
        assert on.balance() == 0


def test_a_token_that_this_worker_does_not_take_is_answered_102823_if_a_receiver_took_it(
    database_url: str,
) -> None:
    with bench(database_url, ACK, cutoff_seconds=20, deadline_seconds=900) as on:
        # Given a message whose time lies outside of its token's validity, as clocks that disagree make it,
        message = on.message().model_copy(update={"received_at_ms": int(time.time() * 1000) - 40_000})
        on.connection.execute(
            "SELECT record_receipt(%s, %s, 480, %s, 20, 900, 3)",
            (message.event_id, message.token, message.received_at),
        )

        assert on.handle(message) == Done(State.ANSWERED)

        (body,) = on.accepts()
        assert body["ErrorCode"] == 102823
        assert on.balance() == 0


def test_without_the_key_an_event_that_nobody_vouches_for_gets_no_answer(database_url: str) -> None:
    with bench(database_url, ACK, keys=AWAY, cutoff_seconds=20, deadline_seconds=900) as on:
        message = on.message(age_seconds=40)

        step = on.handle(message)

        assert isinstance(step, GiveUp)
        assert isinstance(step.error, KeysUnavailable)
        assert on.accepts() == []
        assert on.receipt(message) is None


@pytest.mark.parametrize(
    ("ahead_seconds", "step"), [(10, RetryAt), (90, GiveUp), (86_400, GiveUp), (250_000_000_000, GiveUp)]
)
def test_without_the_key_a_message_that_says_it_is_of_the_future_does_not_go_round_for_ever(
    database_url: str, ahead_seconds: int, step: type[Step]
) -> None:
    with bench(database_url, ACK, keys=AWAY, cutoff_seconds=20, deadline_seconds=900) as on:
        ahead_ms = min(int(time.time() + ahead_seconds) * 1000, MAX_RECEIVED_AT_MS - 1)

        came_to = on.handle(on.message().model_copy(update={"received_at_ms": ahead_ms}))

        assert type(came_to) is step
        assert on.accepts() == []


def test_without_the_key_an_event_whose_cutoff_postgresql_does_not_see_yet_waits_for_it(
    database_url: str,
) -> None:
    with bench(database_url, ACK, keys=AWAY, cutoff_seconds=20, deadline_seconds=900) as on:
        message = on.message(age_seconds=40)
        on.connection.execute(
            "SELECT record_receipt(%s, %s, 480, clock_timestamp(), 600, 900, 3)",
            (message.event_id, message.token),
        )

        step = on.handle(message)

        assert isinstance(step, RetryAt)
        assert isinstance(step.error, KeysUnavailable)
        assert step.delay_seconds > 500
        assert on.accepts() == []
