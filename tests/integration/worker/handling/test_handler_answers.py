"""What the handler does with each answer of BETCORE, on the real ledger."""

import socket

import pytest

from producer.protocol.errors import BadSignature
from tests.support.accept_answers import ACK, AMOUNT_MINOR, PASSING, REFUSAL
from tests.support.betcore import cashback, signer
from tests.support.handler_bench import USER, bench
from tests.support.raw_betcore import Answering, Peer, Request, in_turn, raw, reply
from worker.domain.settlement import Done, GiveUp, RetryAt, State
from worker.errors import AcceptFailed, BadMessage, RefusedByBetcore


def test_an_acknowledged_payout_is_credited_and_answered(database_url: str) -> None:
    with bench(database_url, ACK) as on:
        message = on.message()

        step = on.handle(message)
        on.close_answered_marks()

        assert step == Done(State.ANSWERED)
        assert on.balance() == AMOUNT_MINOR
        assert on.receipt(message) == ("answered", 200, False, None)
        (body,) = on.accepts()
        assert (body["ErrorCode"], body["Message"]) == (200, "Success")
        assert body["Value"] == {
            "CashbackId": 480,
            "PartnerUserId": USER,
            "PartnerTransactionId": "480-1",
            "TransactionType": 1,
            "Amount": 1000.5,
            "TaxAmount": 0,
        }


def test_the_credit_is_committed_before_betcore_hears_of_it(database_url: str) -> None:
    seen = []

    def answer(peer: Peer, connection: socket.socket, request: Request) -> None:
        seen.append(on.balance())
        ACK(peer, connection, request)

    with bench(database_url, answer) as on:
        on.handle(on.message())

    assert seen == [AMOUNT_MINOR]


def test_what_the_ledger_answered_for_is_noted_for_the_witness_and_nothing_else_is(database_url: str) -> None:
    with bench(database_url, ACK) as on:
        message = on.message()
        on.handle(message)
        on.handle(on.message(cashback(CashbackId=481, PartnerUserId="nobody")))
        on.handle(on.message(age_seconds=2))

        (commit,) = on.handler.commit_notes.take()
        assert (commit.name, commit.event_id) == ("480-1", message.event_id)


@pytest.mark.parametrize(
    ("body", "oddity"),
    [
        (b'{"ErrorCode": "200"}', "value"),
        (b'{"errorCode": 200, "message": "Success"}', "name"),
        (b'{"ErrorCode": 200}', None),
    ],
)
def test_an_acknowledgement_in_another_spelling_is_one_and_is_counted(
    database_url: str, body: bytes, oddity: str | None
) -> None:
    with bench(database_url, reply(200, body)) as on:
        assert on.handle(on.message()) == Done(State.ANSWERED)

        counted = {
            sample.labels["oddity"]: sample.value
            for metric in on.handler.metrics.odd_replies.collect()
            for sample in metric.samples
            if sample.name == "cashback_odd_replies_total"
        }
        assert counted == ({} if oddity is None else {oddity: 1.0})


def test_a_redelivered_event_is_neither_credited_nor_answered_again(database_url: str) -> None:
    with bench(database_url, ACK) as on:
        message = on.message()
        on.handle(message)
        on.close_answered_marks()

        assert on.handle(message) == Done(State.ANSWERED)

        assert len(on.accepts()) == 1
        assert on.balance() == AMOUNT_MINOR


def test_the_same_cashback_in_a_new_token_gets_the_first_ones_value(database_url: str) -> None:
    with bench(database_url, ACK) as on:
        on.handle(on.message())
        on.handle(on.message(age_seconds=2))

        first, second = on.accepts()
        assert (first["ErrorCode"], second["ErrorCode"]) == (200, 103804)
        assert first["Value"] == second["Value"]
        assert on.balance() == AMOUNT_MINOR


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (cashback(PartnerUserId="nobody"), 102145),
        (cashback(Amount="0.001"), 103801),
        (cashback(Amount="much"), 103801),
        (cashback(TransactionType=77), 103753),
        ({"CashbackId": 480}, 103753),
    ],
    ids=["unknown user", "too many digits", "no number", "unknown type", "nothing but an id"],
)
def test_what_is_wrong_is_answered_with_its_code(
    database_url: str, data: dict[str, object], code: int
) -> None:
    with bench(database_url, ACK) as on:
        message = on.message(data)

        assert on.handle(message) == Done(State.ANSWERED)
        on.close_answered_marks()

        assert [body["ErrorCode"] for body in on.accepts()] == [code]
        assert on.accepts()[0]["Value"]["CashbackId"] == 480
        assert on.balance() == 0
        assert on.receipt(message) == ("answered", code, False, None)


def test_a_refused_accept_fails_for_good_and_says_that_money_moved(database_url: str) -> None:
    with bench(database_url, REFUSAL) as on:
        message = on.message()

        step = on.handle(message)

        assert isinstance(step, GiveUp)
        assert isinstance(step.error, RefusedByBetcore)
        assert on.receipt(message) == ("refused", 200, True, "HTTP 400, ErrorCode 103752")
        assert on.handle(message) == Done(State.REFUSED)
        assert len(on.accepts()) == 1


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (PASSING, "HTTP 200, ErrorCode 102823"),
        (reply(503, b"<html>"), "HTTP 503 without BETCORE's envelope"),
        (raw(b""), "ConnectError: connection closed"),
    ],
    ids=["102823", "503", "connection cut"],
)
def test_any_other_answer_is_tried_again_after_the_backoff(
    database_url: str, answer: Answering, detail: str
) -> None:
    with bench(database_url, in_turn(answer, ACK)) as on:
        message = on.message()

        step = on.handle(message, retries=2)

        assert isinstance(step, RetryAt)
        assert isinstance(step.error, AcceptFailed)
        assert step.delay_seconds == 1.0  # half of 0.5 s doubled twice
        state, code, _, error = on.receipt(message) or ()
        assert (state, code) == ("settled", 200)
        assert error.startswith(detail)
        assert on.handle(message, retries=3) == Done(State.ANSWERED)
        first, second = on.accepts()
        assert first == second
        assert on.balance() == AMOUNT_MINOR


def test_a_put_off_attempt_counts_as_overdue_only_after_its_delay(database_url: str) -> None:
    with bench(database_url, PASSING) as on:
        message = on.message()
        on.handle(message, retries=2)

        row = on.connection.execute(
            "SELECT next_attempt_at > clock_timestamp() + interval '0.5 s', "
            "next_attempt_at <= clock_timestamp() + interval '2 s' FROM receipts"
        ).fetchone()
        assert row == (True, True)


def test_a_refusal_of_an_event_that_another_run_ended_changes_nothing(database_url: str) -> None:
    def answer_meanwhile(peer: Peer, connection: socket.socket, request: Request) -> None:
        on.handler.ledger.mark_answered([message.event_id])
        REFUSAL(peer, connection, request)

    with bench(database_url, answer_meanwhile) as on:
        message = on.message()

        assert isinstance(on.handle(message), Done)

        assert on.receipt(message) == ("answered", 200, False, None)


def test_a_forged_message_is_refused_without_a_trace(database_url: str) -> None:
    with bench(database_url, ACK) as on:
        message = on.message()
        forged = message.model_copy(update={"token": message.token[:-8] + "AAAAAAAA"})

        step = on.handle(forged)

        assert isinstance(step, GiveUp)
        assert isinstance(step.error, BadSignature)

        assert on.receipt(forged) is None
        assert on.accepts() == []
        assert on.balance() == 0


@pytest.mark.parametrize(
    "data", ["not json", "[]", '{"Amount": 1}', '{"CashbackId": NaN}', '{"CashbackId": 0}']
)
def test_verified_data_without_a_cashback_id_is_a_bad_message(database_url: str, data: str) -> None:
    with bench(database_url, ACK) as on:
        good = on.message()
        token = signer(1).token(at=good.received_at_ms / 1000, data=data)

        with pytest.raises(BadMessage):
            on.handle(good.model_copy(update={"token": token}))

        assert on.accepts() == []
