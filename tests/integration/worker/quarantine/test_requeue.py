"""`cashback quarantine`: an operator finds what was kept, repairs the cause, and puts it back."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from cashback_client.contract import QUEUE, RETRY_QUEUE
from deploy.local.ports import free_port
from tests.support import bad_messages, command
from tests.support.bad_messages import Bench, good, settle
from tests.support.betcore import ISSUER
from tests.support.books import pool_of
from tests.support.output_schemas import assert_fits
from tests.support.roles import as_role
from worker.ledger.database import Database
from worker.quarantine.description import Description, describe_bytes
from worker.quarantine.writer import QuarantineStore
from worker.schema.roles import OPERATOR


@pytest.fixture
def bench(redis_url: str, database_url: str, tmp_path: Path) -> Iterator[Bench]:
    with bad_messages.bench(redis_url, database_url, tmp_path) as made:
        yield made


@pytest.fixture
def store(database_url: str) -> Iterator[QuarantineStore]:
    with pool_of(database_url) as pool:
        yield QuarantineStore(Database(pool, timeout_seconds=30))


def cashback(bench: Bench, *arguments: str, **settings: str) -> command.Finished:
    servers = {"database_url": as_role(bench.database_url, OPERATOR), "redis_url": bench.redis_url}
    with command.start("quarantine", *arguments, **(servers | settings)) as process:
        return command.finish(process)


def listed(bench: Bench, *options: str) -> list[dict[str, Any]]:
    document = cashback(bench, "list", "--json", *options).document
    assert_fits("quarantine-list", document)
    messages: list[dict[str, Any]] = document["messages"]
    return messages


def garbage(number: int, *, reason: str = "unreadable", queue: str = QUEUE) -> Description:
    return describe_bytes(b"\x00\xff garbage %d" % number, reason=reason, detail="no JSON", queue=queue)


def in_queue(bench: Bench, queue: str = QUEUE) -> list[bytes]:
    with redis.Redis.from_url(bench.redis_url) as client:
        entries: list[bytes] = client.lrange(queue, 0, -1)
    return entries


def noted(bench: Bench) -> list[tuple[Any, ...]]:
    with psycopg.connect(bench.database_url) as connection:
        return connection.execute(
            "SELECT action, subject, person, reason, (before ->> 'requeue_count')::int, "
            "(after ->> 'requeue_count')::int FROM audit ORDER BY audit_id"
        ).fetchall()


def test_an_event_is_credited_when_its_cause_is_repaired_and_it_is_put_back(bench: Bench) -> None:
    misled = bench.start_worker(token_issuer="https://another.test")
    event = good(480)
    bench.push(event)
    kept = bench.wait_for_row(event)
    assert (kept["reason"], bench.accepts()) == ("wrong_issuer", [])

    misled.kill()
    bench.start_worker(token_issuer=ISSUER)
    done = cashback(bench, "requeue", str(kept["quarantine_id"]), "--json")

    assert done.document == {"requeued": [kept["quarantine_id"]], "refused": []}
    bench.wait_for_success(480)
    bench.wait_until_idle()
    (message,) = listed(bench)
    assert (message["is_open"], message["seen_count"], message["requeue_count"]) == (False, 1, 1)


def test_what_is_quarantined_again_is_open_again_and_stays_one_message(bench: Bench) -> None:
    bench.start_worker()
    bad = settle(headers={"task": "partner.refund"})
    bench.push(bad)
    bench.wait_for_row(bad)

    done = cashback(bench, "requeue", "--reason", "unknown_task", "--all", "--json")

    assert len(done.document["requeued"]) == 1
    bench.wait(lambda: bench.rows()[0]["seen_count"] == 2, "it is quarantined again")
    (message,) = listed(bench, "--open")
    assert (message["is_open"], message["requeue_count"]) == (True, 1)


def test_a_message_goes_back_to_its_queue_byte_for_byte(bench: Bench, store: QuarantineStore) -> None:
    kept = garbage(1, queue=RETRY_QUEUE)
    quarantine_id, _ = store.keep(kept)

    assert cashback(bench, "requeue", str(quarantine_id)).exit_code == 0

    assert (in_queue(bench, RETRY_QUEUE), in_queue(bench)) == ([kept.message], [])


def test_all_of_a_reason_go_back_oldest_first_and_no_others(bench: Bench, store: QuarantineStore) -> None:
    for number in range(3):
        store.keep(garbage(number))
    store.keep(garbage(3, reason="other"))

    done = cashback(bench, "requeue", "--reason", "unreadable", "--all", "--json")

    assert len(done.document["requeued"]) == 3
    assert in_queue(bench)[::-1] == [garbage(number).message for number in range(3)]
    assert cashback(bench, "requeue", "--reason", "unreadable", "--all", "--json").document == {
        "requeued": [],
        "refused": [],
    }


def test_a_message_is_put_back_once_unless_it_is_asked_for_again(
    bench: Bench, store: QuarantineStore
) -> None:
    quarantine_id, _ = store.keep(garbage(1))
    cashback(bench, "requeue", str(quarantine_id))

    second = cashback(bench, "requeue", str(quarantine_id), "--json")
    forced = cashback(bench, "requeue", str(quarantine_id), "--again", "--json")

    assert second.exit_code == 1
    (refused,) = json.loads(second.stdout)["refused"]
    assert (refused["quarantine_id"], refused["reason"]) == (quarantine_id, "already_requeued")
    assert forced.document["requeued"] == [quarantine_id]
    assert len(in_queue(bench)) == 2


def test_what_is_put_back_is_on_record_with_who_and_why(bench: Bench, store: QuarantineStore) -> None:
    first, second = (store.keep(garbage(number))[0] for number in range(2))
    cashback(bench, "requeue", str(first), "--because", "ticket 7", person="anna@desk")
    cashback(bench, "requeue", "--reason", "unreadable", "--all", person="ben@desk")
    cashback(bench, "requeue", str(first), person="ben@desk")

    assert noted(bench) == [
        ("quarantine.requeue", str(first), "anna@desk", "ticket 7", 0, 1),
        ("quarantine.requeue", str(second), "ben@desk", None, 0, 1),
    ]


def test_while_redis_is_away_nothing_is_marked_as_put_back(bench: Bench, store: QuarantineStore) -> None:
    quarantine_id, _ = store.keep(garbage(1))

    done = cashback(bench, "requeue", str(quarantine_id), redis_url=f"redis://127.0.0.1:{free_port()}/0")

    assert done.exit_code == 1
    assert "Redis cannot be reached, check CASHBACK_REDIS_URL" in done.stderr
    assert "Traceback" not in done.stderr
    assert bench.rows()[0]["requeued_at"] is None
    assert noted(bench) == []


def test_what_was_too_long_to_be_kept_whole_is_not_put_back(bench: Bench, store: QuarantineStore) -> None:
    long = describe_bytes(b"x" * 2_000_000, reason="unreadable", detail="", queue=QUEUE)
    quarantine_id, _ = store.keep(long)

    done = cashback(bench, "requeue", str(quarantine_id), "--json")

    assert done.exit_code == 1
    assert [each["reason"] for each in json.loads(done.stdout)["refused"]] == ["not_whole"]
    assert in_queue(bench) == []


def test_an_unknown_id_is_refused_and_the_others_are_put_back(bench: Bench, store: QuarantineStore) -> None:
    quarantine_id, _ = store.keep(garbage(1))

    done = cashback(bench, "requeue", "999", str(quarantine_id), "--json")

    document = json.loads(done.stdout)
    assert_fits("quarantine-requeue", document)
    assert (done.exit_code, document["requeued"]) == (1, [quarantine_id])
    assert [each["reason"] for each in document["refused"]] == ["not_found"]


@pytest.mark.parametrize("options", [(), ("--all",), ("--reason", "x"), ("1", "--all", "--reason", "x")])
def test_requeue_must_be_told_which_messages(bench: Bench, options: tuple[str, ...]) -> None:
    assert cashback(bench, "requeue", *options).exit_code == 2


def test_only_requeue_needs_redis(bench: Bench, store: QuarantineStore) -> None:
    store.keep(garbage(1))

    without_redis = command.run("quarantine", "list", database_url=bench.database_url)
    requeue = command.run("quarantine", "requeue", "1", database_url=bench.database_url)

    assert without_redis.exit_code == 0
    assert (requeue.exit_code, requeue.stderr) == (2, "Error: CASHBACK_REDIS_URL is not set\n")


def test_the_list_comes_in_pages_newest_first(bench: Bench, store: QuarantineStore) -> None:
    ids = [store.keep(garbage(number))[0] for number in range(3)]
    store.keep(garbage(4, reason="other"))

    first = cashback(bench, "list", "--json", "--reason", "unreadable", "--limit", "2").document
    options = ("--reason", "unreadable", "--after", str(first["next_after"]))
    second = cashback(bench, "list", "--json", *options).document

    assert [each["quarantine_id"] for each in first["messages"]] == ids[:0:-1]
    assert [each["quarantine_id"] for each in second["messages"]] == ids[:1]
    assert second["next_after"] is None


def test_show_gives_the_message_itself_only_when_asked(bench: Bench, store: QuarantineStore) -> None:
    kept = garbage(1)
    quarantine_id, _ = store.keep(kept)

    plain = cashback(bench, "show", str(quarantine_id), "--json").document
    whole = cashback(bench, "show", str(quarantine_id), "--body", "--json").document
    table = cashback(bench, "show", str(quarantine_id)).stdout
    missing = cashback(bench, "show", "999")

    assert_fits("quarantine-show", plain)
    assert_fits("quarantine-show", whole)
    assert (plain["message_bytes"], plain["detail"], plain["headers"]) == (len(kept.message), "no JSON", {})
    assert base64.b64decode(whole.pop("message_base64")) == kept.message
    assert whole == plain
    assert "garbage" not in table
    assert "garbage" in cashback(bench, "show", str(quarantine_id), "--body").stdout
    assert (missing.exit_code, missing.stderr) == (1, "Error: no quarantined message 999 is on record\n")


def test_retention_deletes_what_is_old_and_the_oldest_of_too_many(
    bench: Bench, store: QuarantineStore
) -> None:
    ids = [store.keep(garbage(number))[0] for number in range(6)]
    cashback(bench, "requeue", str(ids[0]))

    assert store.prune(keep_seconds=3600, keep_rows=10, limit=100) == 0
    # The first was put back just now: of the others the oldest two go.
    assert store.prune(keep_seconds=3600, keep_rows=4, limit=100) == 2
    assert [row["quarantine_id"] for row in bench.rows()] == [ids[0], *ids[3:]]
    assert store.prune(keep_seconds=0, keep_rows=10, limit=3) == 3
    assert store.prune(keep_seconds=0, keep_rows=10, limit=3) == 1
    assert bench.rows() == []
