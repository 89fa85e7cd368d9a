"""Whatever arrives at the receiver gets an answer in BETCORE's envelope and a metric with a reason."""

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from deploy.local.processes import wait_until
from deploy.local.simulator.protocol.make_token import make_claims
from producer.receiver.http.body import MAX_BODY_BYTES
from tests.support.betcore import CLIENT_ID, ISSUER, cashback, signer
from tests.support.receiver import RunningReceiver

# Nothing here is to be stored.
RECEIVER = {"token_issuer": ISSUER, "token_leeway_seconds": 2, "jwks_unknown_key_seconds": 0}


@dataclass(frozen=True)
class Refusal:
    """What a refused make is answered with, and how it is counted."""

    status: int
    error_code: int
    outcome: str
    reason: str


def no_token(reason: str = "no_token") -> Refusal:
    return Refusal(400, 103753, "rejected", reason)


def bad_token(reason: str) -> Refusal:
    return Refusal(401, 401, "rejected", reason)


def assert_refused(receiver: RunningReceiver, body: str | bytes, expected: Refusal) -> httpx.Response:
    labels = {"outcome": expected.outcome, "reason": expected.reason}
    copies = receiver.metric("cashback_copies_total", kind="receipt", result="ok")
    before = receiver.metric("cashback_makes_total", **labels)

    reply = receiver.make(body)

    envelope = reply.json()
    assert (reply.status_code, envelope["ErrorCode"]) == (expected.status, expected.error_code)
    assert envelope.keys() == {"ErrorCode", "Message"}
    assert envelope["Message"]
    assert "Traceback" not in envelope["Message"]
    assert receiver.metric("cashback_makes_total", **labels) == before + 1
    assert receiver.metric("cashback_copies_total", kind="receipt", result="ok") == copies
    return reply


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"hello",
        b"null",
        b"12",
        b"[]",
        b'"',
        b'""',
        b'"a.b"',
        b"{}",
        b'{"token": 5}',
        b'{"token": "a.b.c", "more": 1}',
        b'{"token": "a.b.c", "token": "a.b.c"}',
        b'{"Token": "a.b.c"}',
        b"a.b.c",
        b"\xff\xfe\x00",
        b'"\xff"',
        b"{" * 8_000,
        b'{"token":' * 1_000,
        b"eyJ.eyJ.eyJ",
        b'"\\ud800.a.b"',
        b"<html></html>",
    ],
)
def test_a_body_without_a_token_is_answered_400(receiver: RunningReceiver, body: bytes) -> None:
    assert_refused(receiver, body, no_token())


def test_a_body_of_the_largest_size_is_read_and_one_byte_more_is_413(receiver: RunningReceiver) -> None:
    too_large = Refusal(413, 103753, "rejected", "body_too_large")

    assert_refused(receiver, b"a" * MAX_BODY_BYTES, no_token())
    assert_refused(receiver, b"a" * (MAX_BODY_BYTES + 1), too_large)


def test_a_body_without_a_length_is_cut_off_at_the_limit(receiver: RunningReceiver) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(40):
            yield b"a" * 1_000

    reply = receiver.client.post("/cashback-payments/make", content=endless())

    assert (reply.status_code, reply.json()["ErrorCode"]) == (413, 103753)


def test_a_caller_that_goes_away_in_its_body_does_no_harm(receiver: RunningReceiver) -> None:
    labels = {"outcome": "rejected", "reason": "client_gone"}
    before = receiver.metric("cashback_makes_total", **labels)
    url = receiver.client.base_url
    with socket.create_connection((url.host, url.port or 80)) as connection:
        connection.sendall(
            b"POST /cashback-payments/make HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf"
        )

    wait_until(
        lambda: receiver.metric("cashback_makes_total", **labels) > before,
        what="the receiver has noticed",
        timeout_seconds=120,
    )
    assert receiver.metric("cashback_makes_total", **labels) == before + 1


def test_a_token_that_betcore_did_not_sign_is_answered_401(receiver: RunningReceiver) -> None:
    head, payload, signature = receiver.token().split(".")
    forged_payload = receiver.token(cashback(481, Amount="9")).split(".")[1]
    stranger = signer(2)

    assert_refused(receiver, f"{head}.{forged_payload}.{signature}", bad_token("bad_signature"))
    assert_refused(receiver, f"{head}.{payload}.{'A' * len(signature)}", bad_token("bad_signature"))
    assert_refused(receiver, stranger.token(at=time.time()), bad_token("unknown_key"))
    assert_refused(receiver, receiver.signer.sign(b"{}", kid=None), bad_token("unsupported_token"))
    assert_refused(receiver, receiver.signer.sign(b"{}", typ="at+jwt"), bad_token("unsupported_token"))


def test_a_token_out_of_its_time_is_answered_401(receiver: RunningReceiver) -> None:
    now = int(time.time())

    assert_refused(receiver, receiver.signer.token(at=now - 60), bad_token("token_expired"))
    assert_refused(receiver, receiver.signer.token(at=now + 60), bad_token("token_not_yet_valid"))
    assert_refused(receiver, receiver.token(exp=None), bad_token("bad_claims"))
    assert_refused(receiver, receiver.token(nbf="soon"), bad_token("bad_claims"))
    assert_refused(receiver, receiver.token(exp=now), bad_token("bad_claims"))
    assert_refused(receiver, receiver.token(exp=now + 365 * 86_400), bad_token("token_lives_too_long"))
    assert_refused(receiver, receiver.token(iat=now + 60), bad_token("token_not_yet_valid"))


def test_a_token_for_another_partner_or_from_another_issuer_is_answered_401(
    receiver: RunningReceiver,
) -> None:
    assert_refused(receiver, receiver.token(iss="https://elsewhere.test"), bad_token("wrong_issuer"))
    assert_refused(receiver, receiver.token(iss=None), bad_token("wrong_issuer"))
    assert_refused(receiver, receiver.token(client_id="PartnerClient-1"), bad_token("wrong_client"))


def test_a_token_that_names_a_member_twice_is_answered_401(receiver: RunningReceiver) -> None:
    now = int(time.time())
    clients = f'"client_id": "PartnerClient-1", "client_id": "{CLIENT_ID}"'
    claims = f'{{"nbf": {now}, "exp": {now + 9}, "iss": "{ISSUER}", {clients}, "data": "{{}}"}}'

    assert_refused(receiver, receiver.signer.sign(claims.encode()), bad_token("duplicate_member"))


@pytest.mark.parametrize(
    "data", ["", "no JSON", "[]", "null", "{", '{"CashbackId": 1, "CashbackId": 2}', "NaN"]
)
def test_data_that_cannot_be_read_is_answered_400(receiver: RunningReceiver, data: str) -> None:
    assert_refused(receiver, receiver.signer.token(at=time.time(), data=data), no_token("data_unreadable"))


@pytest.mark.parametrize("cashback_id", [None, 0, -1, 1.5, True, "", "x", "-1", "1" * 30, 2**63, [], {}])
def test_data_without_a_cashback_id_is_answered_400(receiver: RunningReceiver, cashback_id: object) -> None:
    data = cashback() | {"CashbackId": cashback_id}

    assert_refused(receiver, receiver.token(data), no_token("no_cashback_id"))


def test_a_claim_data_that_is_no_string_is_answered_400(receiver: RunningReceiver) -> None:
    now = int(time.time())
    claims = make_claims(nbf=now, exp=now + 9, issuer=ISSUER, client_id=CLIENT_ID, data="")
    payload = json.dumps(claims | {"data": {"a": 1}})

    assert_refused(receiver, receiver.signer.sign(payload.encode()), no_token("data_unreadable"))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/cashback-payments/make", 405),
        ("DELETE", "/cashback-payments/make", 405),
        ("POST", "/cashback-payments/make/", 404),
        ("POST", "/", 404),
        ("POST", "/cashback-payments/accept", 404),
        ("GET", "/admin.php", 404),
    ],
)
def test_other_pages_and_methods_are_answered_in_the_envelope(
    receiver: RunningReceiver, method: str, path: str, status: int
) -> None:
    reply = receiver.client.request(method, path)

    assert (reply.status_code, reply.json()["ErrorCode"]) == (status, status)
    assert reply.json()["Message"]


def test_while_the_keys_cannot_be_had_an_unknown_key_is_answered_503(receiver: RunningReceiver) -> None:
    receiver.betcore.keys = (500, b"")
    try:
        reply = assert_refused(
            receiver,
            signer(2).token(at=time.time()),
            Refusal(503, 102823, "unavailable", "keys_unavailable"),
        )
    finally:
        receiver.betcore.publish(receiver.signer)

    assert int(reply.headers["Retry-After"]) >= 1
