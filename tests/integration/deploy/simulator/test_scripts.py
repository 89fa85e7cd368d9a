"""What the simulated BETCORE does wrong on demand, seen by a real HTTP client."""

import httpx
import pytest

from deploy.local.simulator.protocol.paths import ACCEPT_PATH, JWKS_PATH, TOKEN_PATH
from tests.support.simulator import CREDENTIALS, accept, accept_body, bearer_of, last_accept, send_make


def test_scripts_are_used_up_one_action_per_attempt_and_then_all_is_well(betcore: httpx.Client) -> None:
    send_make(betcore, script=["500", "503", "102823", "103752"])

    answers = [accept(betcore) for _ in range(5)]

    assert [answer.status_code for answer in answers] == [500, 503, 200, 200, 200]
    assert [answer.json()["ErrorCode"] for answer in answers[2:]] == [102823, 103752, 200]


def test_an_action_with_a_star_repeats(betcore: httpx.Client) -> None:
    send_make(betcore, script=["503*"])

    assert [accept(betcore).status_code for _ in range(3)] == [503, 503, 503]


def test_scripts_belong_to_one_transaction_type(betcore: httpx.Client) -> None:
    send_make(betcore, script=["503*"])
    send_make(betcore, transaction_type=-1)

    assert accept(betcore, accept_body(TransactionType=-1)).json()["ErrorCode"] == 200


@pytest.mark.parametrize(("action", "acknowledged"), [("drop", False), ("lost", True)])
def test_a_dropped_connection_ends_without_a_reply(
    betcore: httpx.Client, action: str, *, acknowledged: bool
) -> None:
    send_make(betcore, script=[action])

    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        accept(betcore)

    entry = last_accept(betcore)
    assert (entry["acknowledged"], entry["delivered"]) == (acknowledged, False)
    assert accept(betcore).json()["ErrorCode"] == 200


def test_half_a_reply_ends_in_the_middle_of_the_body(betcore: httpx.Client) -> None:
    send_make(betcore, script=["half"])

    with pytest.raises(httpx.RemoteProtocolError, match=r"incomplete|without sending complete"):
        accept(betcore)

    assert last_accept(betcore)["delivered"] is False


def test_a_slow_answer_outlasts_a_client_that_gives_up(betcore: httpx.Client) -> None:
    send_make(betcore, script=["slow:600"])
    headers = bearer_of(betcore)

    with pytest.raises(httpx.ReadTimeout):
        betcore.post(ACCEPT_PATH, json=accept_body(), headers=headers, timeout=0.2)

    assert last_accept(betcore)["acknowledged"] is False


def test_a_redirect_and_an_html_page_are_what_they_are_called(betcore: httpx.Client) -> None:
    send_make(betcore, script=["redirect", "html"])

    redirect, page = accept(betcore), accept(betcore)

    assert redirect.status_code == 307
    assert betcore.post(redirect.headers["location"]).status_code == 200
    assert betcore.get("/sim/log").json()["redirects_followed"] == 1
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")


def test_the_default_behaviour_of_each_endpoint_can_be_set(betcore: httpx.Client) -> None:
    send_make(betcore)
    headers = bearer_of(betcore)

    betcore.post(
        "/sim/behaviour", json={"accept": "102823", "jwks": "503", "token": "500"}
    ).raise_for_status()

    answer = betcore.post(ACCEPT_PATH, json=accept_body(), headers=headers)
    assert answer.json()["ErrorCode"] == 102823
    assert betcore.get(JWKS_PATH).status_code == 503
    assert betcore.post(TOKEN_PATH, json=CREDENTIALS).status_code == 500
