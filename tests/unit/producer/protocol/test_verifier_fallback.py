"""The verifier without a key that fits: BETCORE's Verify decides, and only where it says so clearly."""

import json

import pytest

from producer.protocol.errors import (
    BadSignature,
    KeysUnavailable,
    LookupNeeded,
    ProducerError,
    TokenExpired,
    UnknownKey,
)
from producer.protocol.verify_endpoint import MAX_CALLS_PER_SECOND
from tests.support.betcore import Endpoints, Reply, signer
from tests.support.verifiers import AT, NOW, verifier_of


def ask(reply: Reply, token: str) -> None:
    """Verify with no key at all and this reply of the Verify endpoint."""
    verifier_of(Endpoints(verify=reply), fetched=False, fallback=True).verify(token, at=NOW)


def envelope(error_code: int, *, status: int) -> Reply:
    return status, json.dumps({"ErrorCode": error_code, "Message": "..."}).encode()


def test_the_fallback_vouches_only_with_200_in_both_places() -> None:
    ask(envelope(200, status=200), signer(1).token(at=AT))


@pytest.mark.parametrize(
    "reply",
    [
        envelope(200, status=500),
        envelope(200, status=401),
        envelope(200, status=302),
        envelope(200, status=429),
        envelope(401, status=429),
        envelope(102823, status=200),
        envelope(500, status=200),
        (200, b""),
        (200, b"OK"),
        (200, b"[]"),
        (200, b"{}"),
        (200, b'{"ErrorCode": "200"}'),
        (200, b'{"ErrorCode": true}'),
        (200, b"x" * 300_000),
        (401, b"<html>"),
    ],
)
def test_a_reply_of_the_fallback_that_does_not_decide_leaves_it_open(reply: Reply) -> None:
    with pytest.raises(KeysUnavailable):
        ask(reply, signer(1).token(at=AT))


@pytest.mark.parametrize(("code", "status"), [(401, 200), (401, 401), (103753, 400), (103752, 403)])
def test_the_fallback_refuses_with_a_readable_refusal(code: int, status: int) -> None:
    with pytest.raises(BadSignature):
        ask(envelope(code, status=status), signer(1).token(at=AT))


def test_what_the_fallback_vouches_for_still_has_to_be_in_its_time() -> None:
    with pytest.raises(TokenExpired):
        ask(envelope(200, status=200), signer(1).token(at=AT - 60))


def test_the_fallback_is_not_asked_about_what_the_keys_decide() -> None:
    betcore = Endpoints()
    betcore.publish(signer(1))
    betcore.answer_verify(200)
    verifier = verifier_of(betcore, fallback=True)
    head, payload, signature = signer(1).token(at=AT).split(".")

    with pytest.raises(BadSignature):
        verifier.verify(f"{head}.{payload}.{'A' * len(signature)}", at=NOW)
    with pytest.raises(UnknownKey):
        verifier.verify(signer(2).token(at=AT), at=NOW)
    assert betcore.asked == []


def test_the_fallback_is_not_asked_while_a_fetch_for_an_unknown_key_is_only_too_soon() -> None:
    betcore = Endpoints()
    betcore.publish(signer(1))
    betcore.answer_verify(200)
    verifier = verifier_of(betcore, fallback=True)
    with pytest.raises(UnknownKey):
        verifier.verify(signer(2).token(at=AT), at=NOW)

    for number in range(3, 6):
        with pytest.raises(KeysUnavailable):
            verifier.verify(signer(number).token(at=AT), at=NOW)

    assert betcore.asked == []


def test_the_fallback_is_asked_a_few_times_a_second_at_most() -> None:
    now = [0.0]
    betcore = Endpoints()
    betcore.answer_verify(401)
    verifier = verifier_of(betcore, fetched=False, fallback=True, clock=lambda: now[0])

    def ask_often() -> None:
        for number in range(20):
            with pytest.raises((BadSignature, KeysUnavailable)):
                verifier.verify(signer(1).token(at=AT, data=str(number)), at=NOW)

    ask_often()
    in_the_first_second = len(betcore.asked)
    now[0] = 1.0
    ask_often()

    assert (in_the_first_second, len(betcore.asked)) == (MAX_CALLS_PER_SECOND, 2 * MAX_CALLS_PER_SECOND)


def test_the_fallback_is_not_asked_about_what_the_claims_rule_out() -> None:
    betcore = Endpoints()
    betcore.answer_verify(200)
    verifier = verifier_of(betcore, fetched=False, fallback=True)

    with pytest.raises(TokenExpired):
        verifier.verify(signer(1).token(at=AT - 60), at=NOW)

    assert betcore.asked == []


@pytest.mark.parametrize(("fallback", "error"), [(False, KeysUnavailable), (True, LookupNeeded)])
def test_the_check_that_must_not_block_leaves_it_to_a_lookup_to_ask(
    *, fallback: bool, error: type[ProducerError]
) -> None:
    betcore = Endpoints()
    betcore.answer_verify(401)
    verifier = verifier_of(betcore, fetched=False, fallback=fallback)
    with pytest.raises((KeysUnavailable, BadSignature)):
        verifier.verify(signer(1).token(at=AT), at=NOW)
    asked = len(betcore.asked)

    with pytest.raises(error):
        verifier.verify_with_known_keys(signer(1).token(at=AT), at=NOW)

    assert (betcore.fetches, len(betcore.asked)) == (1, asked)
