"""The example for `POST /events` against the real receiver, with curl and a key alone."""

import httpx
import pytest

from tests.support.partner_examples import BY_HTTP, Example
from tests.support.partner_stack import API_KEY, Ended, PartnerBench

CASHBACK_ID = 580


@pytest.fixture
def example() -> Example:
    if missing := BY_HTTP.missing:
        pytest.fail(missing)
    return BY_HTTP


def test_an_event_that_is_handed_in_twice_is_credited_once_and_answered(
    bench: PartnerBench, example: Example
) -> None:
    order = {"cashback_id": CASHBACK_ID, "user_id": example.name, "amount": "10.00"}

    event_id = bench.sent(example, order)
    bench.wait_for(event_id, "answered")
    again = bench.sent(example, {"same_token_as": bench.make_of(CASHBACK_ID)["make_id"]})
    bench.wait_until_idle()

    assert again == event_id
    assert bench.end_of(event_id, cashback_id=CASHBACK_ID, user_id=example.name) == Ended(
        state="answered", transactions=1, balance_minor=1000, accepts=[(200, True)]
    )
    shown = httpx.get(
        f"{bench.stack.receiver_url}/events/{event_id}",
        headers={"Authorization": f"Bearer {API_KEY}"},
        timeout=60,
        trust_env=False,
    ).json()
    assert (shown["state"], shown["code"]) == ("answered", 200)


def test_what_is_refused_says_why(bench: PartnerBench, example: Example) -> None:
    order = {"cashback_id": 1, "user_id": "7", "amount": "1", "tamper": "signature"}

    done = bench.run(example, order)

    assert done.returncode != 0
    assert '"bad_signature"' in done.stderr


@pytest.mark.parametrize("wrong", ["API_KEY", "RECEIVER"])
def test_a_wrong_key_or_address_is_an_error(bench: PartnerBench, example: Example, wrong: str) -> None:
    variables = {"API_KEY": "none-of-ours", "RECEIVER": f"{bench.stack.receiver_url}/nowhere"}

    done = bench.run(example, {"cashback_id": 1, "user_id": "7", "amount": "1"}, **{wrong: variables[wrong]})

    assert done.returncode != 0
    assert done.stderr
