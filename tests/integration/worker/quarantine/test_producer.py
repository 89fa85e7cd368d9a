"""Whose events and whose bad messages there were, as an operator sees it; a real worker on real servers."""

from pathlib import Path
from typing import Any

import pytest

from cashback_client.contract import OWN_PRODUCER, QUEUE, RETRY_QUEUE, queue_of
from tests.support import bad_messages, command
from tests.support.bad_messages import Bench, message, settle, token
from tests.support.books import pool_of
from worker.ledger.database import Database
from worker.producers import PRODUCER_HEADER
from worker.quarantine.description import describe_bytes
from worker.quarantine.writer import QuarantineStore

EDGE = {PRODUCER_HEADER: "edge"}
# Whose each queue is: workers alone write to the one for retries, and say there whose event it is.
WHOSE = {RETRY_QUEUE: "edge", QUEUE: OWN_PRODUCER, queue_of("mobile"): "mobile"}
BAD: list[Any] = [[], {"token": 5}, None]


def document(bench: Bench, *arguments: str) -> Any:  # noqa: ANN401 - JSON
    return command.run(*arguments, "--json", database_url=bench.database_url).document


def test_a_worker_puts_on_record_whose_message_it_was_and_believes_no_sender(
    redis_url: str, database_url: str, tmp_path: Path
) -> None:
    # Given messages that name a producer, on each queue a good one, a bad one and one that is none
    numbers = dict(zip(WHOSE, range(481, 490), strict=False))
    good = [(queue, settle([[], message(token(n)), None], headers=EDGE)) for queue, n in numbers.items()]
    bad = [(queue, settle(BAD, headers=EDGE)) for queue in WHOSE]
    unreadable = [(queue, b"no JSON " + queue.encode()) for queue in WHOSE if queue != RETRY_QUEUE]
    with bad_messages.bench(redis_url, database_url, tmp_path) as bench:
        # When a worker has taken them
        for queue, entry in good + bad + unreadable:
            bench.push(entry, queue)
        bench.start_worker(partners="mobile")
        for number in numbers.values():
            bench.wait_for_success(number)
        kept = {queue: bench.wait_for_row(entry)["producer"] for queue, entry in bad + unreadable}

        # Then each is on record with whose its queue is
        events = {queue: document(bench, "show", str(each))["events"] for queue, each in numbers.items()}
        assert {queue: [event["producer"] for event in events[queue]] for queue in events} == {
            queue: [producer] for queue, producer in WHOSE.items()
        }
        assert kept == WHOSE
        listed = document(bench, "quarantine", "list")["messages"]
        assert {(each["queue"], each["producer"]) for each in listed} == set(WHOSE.items())
        assert len(listed) == len(bad + unreadable)


@pytest.mark.parametrize(
    ("producer", "kept"), [("edge", "edge"), (OWN_PRODUCER, OWN_PRODUCER), (None, OWN_PRODUCER)]
)
def test_what_is_kept_has_the_producer_of_its_queue(
    database_url: str, producer: str | None, kept: str
) -> None:
    description = describe_bytes(
        b"no JSON", reason="unreadable", detail="", queue=queue_of("edge"), producer=producer
    )
    with pool_of(database_url) as pool:
        quarantine_id, _ = QuarantineStore(Database(pool, timeout_seconds=30)).keep(description)

    shown = command.run("quarantine", "show", str(quarantine_id), "--json", database_url=database_url)
    assert shown.document["producer"] == kept
