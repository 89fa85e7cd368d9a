"""The simulated BETCORE's accept, its access tokens and its log, seen by a real HTTP client."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from deploy.local.simulator.protocol.paths import ACCEPT_PATH, TOKEN_PATH
from tests.support.simulator import (
    CREDENTIALS,
    LOG_LIMIT,
    Clock,
    accept,
    accept_body,
    bearer_of,
    last_accept,
    send_make,
)


def test_an_accept_in_time_is_acknowledged_and_logged_with_its_exact_numbers(betcore: httpx.Client) -> None:
    send_make(betcore)
    headers = bearer_of(betcore) | {"Content-Type": "application/json"}
    raw = json.dumps(accept_body()).replace('"Amount": 10', '"Amount": 10.10').encode()

    response = betcore.post(ACCEPT_PATH, content=raw, headers=headers)

    assert (response.status_code, response.json()) == (200, {"ErrorCode": 200, "Message": "Success"})
    entry = last_accept(betcore)
    assert entry["raw_body"] == raw.decode()
    assert entry["amount"] == "10.10"
    assert (entry["in_time"], entry["acknowledged"], entry["delivered"]) == (True, True, True)
    assert entry["received_at_ms"] <= entry["answered_at_ms"]


def test_an_accept_without_a_good_bearer_is_401_and_uses_up_no_action(betcore: httpx.Client) -> None:
    send_make(betcore, script=["102823"])

    refused = betcore.post(ACCEPT_PATH, json=accept_body(), headers={"Authorization": "Bearer wrong"})

    assert refused.status_code == 401
    assert refused.json()["ErrorCode"] == 401
    assert accept(betcore).json()["ErrorCode"] == 102823
    assert accept(betcore).json()["ErrorCode"] == 200


def test_an_access_token_ends_with_its_lifetime(betcore: httpx.Client, clock: Clock) -> None:
    send_make(betcore)
    headers = bearer_of(betcore)

    clock.ahead_seconds = 3_601

    response = betcore.post(ACCEPT_PATH, json=accept_body(), headers=headers)
    assert response.status_code == 401


def test_wrong_credentials_get_no_access_token(betcore: httpx.Client) -> None:
    response = betcore.post(TOKEN_PATH, json={**CREDENTIALS, "Secret": "guess"})

    assert response.status_code == 401
    assert "Value" not in response.json()
    assert betcore.get("/sim/log").json()["tokens_denied"] == 1


def test_the_action_401_revokes_all_access_tokens(betcore: httpx.Client) -> None:
    send_make(betcore, script=["401"])
    older = bearer_of(betcore)

    assert accept(betcore).status_code == 401

    again = betcore.post(ACCEPT_PATH, json=accept_body(), headers=older)
    assert again.status_code == 401
    assert accept(betcore).json()["ErrorCode"] == 200


@pytest.mark.parametrize(
    "wrong",
    [
        accept_body(CashbackId="480"),
        accept_body(CashbackId=True),
        accept_body(Amount="10"),
        accept_body(TransactionType=1.5),
        accept_body(PartnerUserId=7),
        accept_body(PartnerTransactionId=""),
        accept_body(Surprise=1),
        {"errorCode": 200, "message": "Success", "value": {}},
        {"ErrorCode": 200, "Message": "Success", "Value": {"CashbackId": 480}},
        {"ErrorCode": 201, "Message": "?", "Value": {"CashbackId": 480}},
        {"ErrorCode": 102145, "Message": "User not found", "Value": {}},
    ],
)
def test_a_malformed_accept_is_answered_103752_and_logged_with_its_problem(
    betcore: httpx.Client, wrong: dict[str, Any]
) -> None:
    send_make(betcore)

    response = accept(betcore, wrong)

    assert response.json()["ErrorCode"] == 103752
    entry = last_accept(betcore)
    assert entry["problem"]
    assert entry["acknowledged"] is False


def test_an_error_code_needs_no_more_than_the_cashback_id(betcore: httpx.Client) -> None:
    send_make(betcore)

    response = accept(
        betcore, {"ErrorCode": 103753, "Message": "Request data error", "Value": {"CashbackId": 480}}
    )

    assert response.json()["ErrorCode"] == 200


def test_an_accept_that_no_make_asked_for_is_answered_103752(betcore: httpx.Client) -> None:
    send_make(betcore)

    assert accept(betcore, accept_body(CashbackId=481)).json()["ErrorCode"] == 103752
    assert accept(betcore, accept_body(TransactionType=-1)).json()["ErrorCode"] == 103752
    assert last_accept(betcore)["in_time"] is None


def test_an_accept_after_30_seconds_is_late(betcore: httpx.Client, clock: Clock) -> None:
    send_make(betcore)

    clock.ahead_seconds = 29
    in_time = accept(betcore)
    clock.ahead_seconds = 31
    late = accept(betcore)

    assert in_time.json()["ErrorCode"] == 200
    assert late.json()["ErrorCode"] == 103752
    entry = last_accept(betcore)
    assert (entry["late"], entry["in_time"], entry["acknowledged"]) == (True, False, False)


def test_the_same_token_sent_again_gives_no_more_time_but_a_new_token_does(
    betcore: httpx.Client, clock: Clock
) -> None:
    first = send_make(betcore)

    clock.ahead_seconds = 31
    send_make(betcore, same_token_as=first["make_id"])
    after_same_token = accept(betcore)
    send_make(betcore)
    after_new_token = accept(betcore)

    assert after_same_token.json()["ErrorCode"] == 103752
    assert after_new_token.json()["ErrorCode"] == 200


def test_orders_that_make_no_sense_are_refused_with_a_reason(betcore: httpx.Client) -> None:
    unknown_action = betcore.post("/sim/makes", json={"cashback_id": 1, "script": ["explode"]})
    unknown_make = betcore.post("/sim/makes", json={"same_token_as": 99})
    unknown_field = betcore.post("/sim/makes", json={"cashback": 1})

    assert (unknown_action.status_code, unknown_action.json()["reason"]) == (422, "unknown_action")
    assert (unknown_make.status_code, unknown_make.json()["reason"]) == (422, "unknown_make")
    assert unknown_field.status_code == 422


def test_a_full_log_says_so(betcore: httpx.Client) -> None:
    for _ in range(LOG_LIMIT):
        send_make(betcore)

    response = betcore.post("/sim/makes", json={"cashback_id": 480})

    assert (response.status_code, response.json()["reason"]) == (507, "log_full")
    for _ in range(LOG_LIMIT):
        assert accept(betcore).status_code == 200
    assert accept(betcore).status_code == 503
    assert betcore.get("/sim/log").json()["accepts_unlogged"] == 1


def test_many_makes_and_accepts_at_once_are_all_logged(betcore: httpx.Client) -> None:
    headers = bearer_of(betcore)

    async def both() -> None:
        async with httpx.AsyncClient(base_url=betcore.base_url) as client:
            order = {"cashback_id": 480, "user_id": "7", "amount": "10"}
            await asyncio.gather(*(client.post("/sim/makes", json=order) for _ in range(20)))
            accepts = (client.post(ACCEPT_PATH, json=accept_body(), headers=headers) for _ in range(20))
            await asyncio.gather(*accepts)

    asyncio.run(both())

    log = betcore.get("/sim/log").json()
    assert [make["make_id"] for make in log["makes"]] == list(range(1, 21))
    assert sum(entry["acknowledged"] for entry in log["accepts"]) == 20
    assert betcore.get("/sim/log", params={"accepts_after": 15}).json()["accepts"] == log["accepts"][15:]
