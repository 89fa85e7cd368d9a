"""`cashback-client` against the whole service: by HTTP with a key, and by Redis with a user of its own."""

import asyncio

import httpx
import pytest

from cashback_client.client import AsyncCashbackClient, CashbackClient
from cashback_client.errors import NotSubmitted, Refused
from cashback_client.receiver_api import EventStatus
from cashback_client.submission import Outcome
from tests.support.partner_stack import API_KEY, PARTNER, Ended, PartnerBench

# The longest that a client waits. What is bounded has tests of its own.
PATIENCE_SECONDS = 30.0


def token_of(bench: PartnerBench, cashback_id: int, **order: object) -> str:
    """Have the simulated BETCORE sign a token that it does not send."""
    payload = {"cashback_id": cashback_id, "user_id": PARTNER, "amount": "10.00", **order}
    reply = httpx.post(f"{bench.stack.simulator_url}/sim/tokens", json=payload, timeout=60, trust_env=False)
    return str(reply.raise_for_status().json()["token"])


def settled(bench: PartnerBench, outcome: Outcome, cashback_id: int) -> Ended:
    assert outcome.event_id is not None
    bench.wait_for(outcome.event_id, "answered")
    bench.wait_until_idle()
    return bench.end_of(outcome.event_id, cashback_id=cashback_id, user_id=PARTNER)


@pytest.mark.parametrize("way", ["http", "redis"])
def test_what_is_submitted_twice_is_credited_once_and_its_status_says_so(
    bench: PartnerBench, way: str
) -> None:
    cashback_id = {"http": 700, "redis": 701}[way]
    token = token_of(bench, cashback_id)
    receiver = bench.stack.receiver_url
    url, status_url = {"http": (receiver, None), "redis": (bench.redis_url, receiver)}[way]

    with CashbackClient(
        url, producer=PARTNER, api_key=API_KEY, status_url=status_url, timeout_seconds=PATIENCE_SECONDS
    ) as client:
        outcome = client.submit(token)
        ended = settled(bench, outcome, cashback_id)
        again = client.submit(token)
        assert outcome.event_id is not None
        status = client.status(outcome.event_id)

    assert (ended.state, ended.transactions, ended.accepts) == ("answered", 1, [(200, True)])
    assert again.event_id == outcome.event_id
    assert isinstance(status, EventStatus)
    assert (status.state, status.code, status.unconfirmed) == ("answered", 200, False)


def test_of_many_each_has_its_answer(bench: PartnerBench) -> None:
    good, bad = token_of(bench, 710), token_of(bench, 711, tamper="signature")

    async def submit() -> list[Outcome]:
        async with AsyncCashbackClient(
            bench.stack.receiver_url, api_key=API_KEY, timeout_seconds=PATIENCE_SECONDS
        ) as client:
            return await client.submit_many([good, bad, good])

    results = [(outcome.result, outcome.reason) for outcome in asyncio.run(submit())]

    assert results == [("accepted", "ok"), ("refused", "bad_signature"), ("duplicate", "ok")]


def test_what_is_wrong_has_the_name_of_its_error(bench: PartnerBench) -> None:
    receiver = bench.stack.receiver_url
    with (
        CashbackClient(receiver, api_key=API_KEY, timeout_seconds=PATIENCE_SECONDS) as client,
        pytest.raises(Refused) as refused,
    ):
        client.submit(token_of(bench, 720, tamper="signature"))
    with (
        CashbackClient(receiver, api_key="none-of-ours", timeout_seconds=PATIENCE_SECONDS) as client,
        pytest.raises(NotSubmitted) as stranger,
    ):
        client.submit(token_of(bench, 721))

    assert refused.value.reason == "bad_signature"
    assert (stranger.value.reason, stranger.value.may_be_there) == ("access_refused", False)
