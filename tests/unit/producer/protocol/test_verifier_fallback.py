"""The verifier without a key that fits: BETCORE's Verify decides, and only where it says so clearly."""

import json

import pytest

from producer.protocol.errors import BadSignature, KeysUnavailable, TokenExpired, UnknownKey
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
