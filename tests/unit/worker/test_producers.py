"""Whose event an entry is: the list says so, and on the retry queue the worker that put it there."""

import pytest

from cashback_client.contract import OWN_PRODUCER, QUEUE, RETRY_QUEUE, queue_of
from worker.producers import PRODUCER_HEADER, producer_on, sent_again

EDGE = {PRODUCER_HEADER: "edge"}


@pytest.mark.parametrize(
    ("queue", "headers", "producer"),
    [
        (QUEUE, {}, OWN_PRODUCER),
        (QUEUE, EDGE, OWN_PRODUCER),
        (queue_of("mobile"), {}, "mobile"),
        (queue_of("mobile"), EDGE, "mobile"),
        (RETRY_QUEUE, {}, OWN_PRODUCER),
        (RETRY_QUEUE, EDGE, "edge"),
        *((RETRY_QUEUE, {PRODUCER_HEADER: odd}, OWN_PRODUCER) for odd in (None, 5, ["edge"], "", "Edge")),
        ("elsewhere", EDGE, OWN_PRODUCER),
    ],
)
def test_a_queue_vouches_for_its_producer_and_a_sender_does_not(
    queue: str, headers: dict[str, object], producer: str
) -> None:
    assert producer_on(queue, headers) == producer


@pytest.mark.parametrize("sent", [{}, EDGE, {PRODUCER_HEADER: 5}])
@pytest.mark.parametrize("producer", [OWN_PRODUCER, "mobile"])
def test_a_message_that_is_sent_again_keeps_its_producer_whatever_its_sender_wrote(
    sent: dict[str, object], producer: str
) -> None:
    headers = sent_again({"trace": "t1", **sent}, producer=producer)

    assert headers.pop("trace") == "t1"
    assert producer_on(RETRY_QUEUE, headers) == producer
