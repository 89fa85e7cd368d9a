"""What the simulated BETCORE sends and vouches for: makes, its keys and Verify, seen from outside."""

import hashlib
import json

import httpx
import jwt

from deploy.local.ports import free_port
from deploy.local.simulator.protocol.paths import JWKS_PATH, VERIFY_PATH
from tests.support.simulator import Clock, Partner, accept, accept_body, send_make, simulated_betcore


def test_a_make_reaches_the_partner_in_each_body_shape_with_the_sample_s_claims(
    betcore: httpx.Client, partner: Partner
) -> None:
    keys = jwt.PyJWKSet.from_dict(betcore.get(JWKS_PATH).json())

    first = send_make(betcore, amount="12.340", tax_amount="0.10")
    send_make(betcore, same_token_as=first["make_id"], body_shape="raw")
    send_make(betcore, same_token_as=first["make_id"], body_shape="object")

    (json_type, bare), (text_type, raw), (_, wrapped) = partner.requests[-3:]
    token = json.loads(bare)
    assert (json_type, text_type) == ("application/json", "text/plain")
    assert raw.decode() == token
    assert json.loads(wrapped) == {"token": token}
    header = jwt.get_unverified_header(token)
    assert (header["alg"], header["typ"], len(header["kid"])) == ("RS256", "JWT", 40)
    claims = jwt.decode(token, keys[header["kid"]].key, algorithms=["RS256"])
    assert set(claims) == {"nbf", "exp", "iss", "client_id", "data"}
    assert claims["exp"] == claims["nbf"] + 10
    assert claims["data"] == (
        '{"CashbackId": 480, "PartnerUserId": "7", "TransactionType": 1,'
        ' "Amount": "12.340", "TaxAmount": "0.10"}'
    )
    assert first["reply"] == {"ErrorCode": 200, "Message": "Success"}


def test_a_token_for_somebody_else_to_send_on_is_signed_and_counts_as_sent(
    betcore: httpx.Client, partner: Partner
) -> None:
    told = len(partner.requests)
    reply = betcore.post("/sim/tokens", json={"cashback_id": 491, "user_id": "7", "amount": "10"}).json()

    assert betcore.post(VERIFY_PATH, json=reply["token"]).json()["ErrorCode"] == 200
    assert hashlib.sha256(reply["token"].encode()).hexdigest() == reply["token_sha256"]
    assert len(partner.requests) == told
    accepted = accept(betcore, accept_body(CashbackId=491, PartnerTransactionId="491-1"))
    assert accepted.json()["ErrorCode"] == 200


def test_a_partner_that_is_away_is_a_result_and_not_an_error(clock: Clock) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    with simulated_betcore(partner_url=nobody, clock=clock) as betcore:
        result = send_make(betcore)

    assert result["http_status"] is None
    assert result["error"].startswith("ConnectError")


def test_a_rotated_key_signs_at_once_and_the_old_one_stays_published_as_long_as_asked(
    betcore: httpx.Client, clock: Clock
) -> None:
    def published() -> list[str]:
        return [key["kid"] for key in betcore.get(JWKS_PATH).json()["keys"]]

    (old,) = published()
    new = betcore.post("/sim/rotate-keys", json={"old_key_seconds": 60}).json()["kid"]
    both = published()
    clock.ahead_seconds = 61

    assert both == [old, new]
    assert published() == [new]


def test_verify_vouches_for_its_own_living_tokens_alone(
    betcore: httpx.Client, partner: Partner, clock: Clock
) -> None:
    def verified(tamper: str) -> httpx.Response:
        send_make(betcore, tamper=tamper)
        return betcore.post(VERIFY_PATH, content=partner.requests[-1][1])

    good = verified("none")
    bad = [
        verified(tamper)
        for tamper in ("signature", "payload", "expired", "unknown_kid", "wrong_key", "garbage")
    ]
    confused = [verified(tamper) for tamper in ("alg_none", "hs256")]

    assert good.json()["ErrorCode"] == 200
    assert json.loads(good.json()["Value"]["data"])["CashbackId"] == 480
    assert {response.status_code for response in [*bad, *confused]} == {401}
    clock.ahead_seconds = 11
    assert betcore.post(VERIFY_PATH, content=partner.requests[-9][1]).status_code == 401


def test_it_says_what_it_is_and_whom_its_makes_go_to(betcore: httpx.Client, partner: Partner) -> None:
    identity = betcore.get("/sim").json()

    assert identity == {"service": "betcore-simulator", "partner_url": partner.url}
