"""The examples of docs/contract settle events of the real service, from what a partner is given alone."""

from uuid import UUID

import pytest

from cashback_client.contract import QUEUE, queue_of
from deploy.local.ports import free_port
from tests.support.partner_examples import BY_REDIS, Example
from tests.support.partner_stack import PARTNER_QUEUE, Ended, PartnerBench

CASHBACK_IDS = {example.name: number for number, example in enumerate(BY_REDIS, start=480)}


def event_id_of_digest(sha256: str) -> UUID:
    """Return the event id of the token with this digest, as event-ids.json has it step by step."""
    first = bytearray.fromhex(sha256[:32])
    first[6] = first[6] & 0x0F | 0x80
    first[8] = first[8] & 0x3F | 0x80
    return UUID(bytes=bytes(first))


@pytest.fixture(params=BY_REDIS, ids=lambda example: str(example.name))
def example(request: pytest.FixtureRequest) -> Example:
    """Give each example, or fail with what to install: a language is not left out."""
    example: Example = request.param
    if missing := example.missing:
        pytest.fail(missing)
    return example


def test_an_event_that_is_sent_twice_is_credited_once_and_answered(
    bench: PartnerBench, example: Example
) -> None:
    cashback_id = CASHBACK_IDS[example.name]
    order = {"cashback_id": cashback_id, "user_id": example.name, "amount": "10.00"}

    event_id = bench.sent(example, order)
    make = bench.make_of(cashback_id)
    assert event_id == event_id_of_digest(make["token_sha256"])
    bench.wait_for(event_id, "answered")
    again = bench.sent(example, {"same_token_as": make["make_id"]})
    bench.wait_until_idle()

    assert again == event_id
    assert bench.end_of(event_id, cashback_id=cashback_id, user_id=example.name) == Ended(
        state="answered", transactions=1, balance_minor=1000, accepts=[(200, True)]
    )


@pytest.mark.parametrize("queue", [QUEUE, queue_of("mobile"), PARTNER_QUEUE.upper()])
def test_a_list_that_is_not_its_own_is_an_error(bench: PartnerBench, example: Example, queue: str) -> None:
    done = bench.run(example, {"cashback_id": 1, "user_id": "7", "amount": "1"}, QUEUE=queue)

    assert done.returncode != 0
    assert "NOPERM" in done.stdout + done.stderr


def test_a_redis_that_is_not_there_is_an_error(bench: PartnerBench, example: Example) -> None:
    url = f"redis://edge:secret@127.0.0.1:{free_port()}"

    done = bench.run(example, {"cashback_id": 1, "user_id": "7", "amount": "1"}, REDIS_URL=url)

    assert done.returncode != 0
    assert done.stderr


def test_a_login_that_is_wrong_is_an_error(bench: PartnerBench, example: Example) -> None:
    url = bench.redis_url.replace("@", "x@")

    done = bench.run(example, {"cashback_id": 1, "user_id": "7", "amount": "1"}, REDIS_URL=url)

    assert done.returncode != 0
    assert done.stderr
