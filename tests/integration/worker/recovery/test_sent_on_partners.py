"""An event of a partner's that is overdue is sent on as the partner's; real PostgreSQL, real Valkey."""

from collections.abc import Iterator

import pytest

from cashback_client.contract import OWN_PRODUCER
from tests.support.sent_on import Recovery, recovery
from worker.queue.entry import read_entry


@pytest.fixture
def at(database_url: str, redis_url: str) -> Iterator[Recovery]:
    with recovery(database_url, redis_url) as made:
        yield made


def test_what_is_sent_on_has_the_producer_of_its_receipt(at: Recovery) -> None:
    for number, producer in enumerate(("edge", None), 1):
        at.received(number, producer=producer)

    at.sweeper.sweep()

    worker = at.worker()
    producers = sorted(read_entry(taken, worker.holder).producer for taken in worker.take())
    assert producers == [OWN_PRODUCER, "edge"]
