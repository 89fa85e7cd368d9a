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
EVENTS = {RETRY_QUEUE: 481, QUEUE: 482}
BAD: list[Any] = [[], {"token": 5}, None]


def document(bench: Bench, *arguments: str) -> Any:  # noqa: ANN401 - JSON
    return command.run(*arguments, "--json", database_url=bench.database_url).document


def test_a_worker_puts_on_record_whose_message_it_was_and_believes_no_sender(
    redis_url: str, database_url: str, tmp_path: Path
) -> None:
    # Given messages that name a producer, good and bad ones: on the retry queue, where a worker put them,
    # and on a queue where anybody could have
    good = {
        queue: settle([[], message(token(number)), None], headers=EDGE) for queue, number in EVENTS.items()
    }
    bad = {queue: settle(BAD, headers=EDGE) for queue in EVENTS}
    with bad_messages.bench(redis_url, database_url, tmp_path) as bench:
        # When a worker has taken them
        for entries in (good, bad):
            for queue, entry in entries.items():
                bench.push(entry, queue)
        bench.start_worker()
        for number in EVENTS.values():
            bench.wait_for_success(number)
        rows = {queue: bench.wait_for_row(entry) for queue, entry in bad.items()}

        # Then what came from the retry queue is the partner's, and what came from the other one is not
        shown = {
            queue: [event["producer"] for event in document(bench, "show", str(number))["events"]]
            for queue, number in EVENTS.items()
        }
        assert shown == {RETRY_QUEUE: ["edge"], QUEUE: [OWN_PRODUCER]}
        assert {queue: row["producer"] for queue, row in rows.items()} == {
            RETRY_QUEUE: "edge",
            QUEUE: OWN_PRODUCER,
        }
        listed = document(bench, "quarantine", "list")["messages"]
        assert {(each["queue"], each["producer"]) for each in listed} == {
            (RETRY_QUEUE, "edge"),
            (QUEUE, OWN_PRODUCER),
        }


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
