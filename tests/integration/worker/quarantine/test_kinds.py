"""Whatever no worker can settle ends in the table, as it stood in the queue, and the worker goes on."""

import itertools
import json
from collections.abc import Callable, Iterator

import psycopg
import pytest

from cashback_client.contract import QUEUE, RETRY_QUEUE
from deploy.local.postgres import PostgresServer
from deploy.local.valkey import ValkeyServer
from tests.support import bad_messages
from tests.support.bad_kinds import BAD, EMBED
from tests.support.bad_messages import Bench, entry, settle, token
from tests.support.books import SOUND, audit

_numbers = itertools.count(1_000)


@pytest.fixture(scope="module")
def bench(
    valkey_server: ValkeyServer,
    postgres_server: PostgresServer,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Bench]:
    """One worker for all tests of this module: none of them may end it."""
    directory = tmp_path_factory.mktemp("quarantine")
    with bad_messages.bench_of_a_module(valkey_server, postgres_server, migrated_template, directory) as made:
        made.start_worker()
        yield made


@pytest.mark.parametrize(
    ("reason", "make"), [pytest.param(reason, make, id=name) for reason, name, make in BAD]
)
def test_a_bad_message_is_kept_as_it_was_and_counted_and_the_next_event_is_credited(
    bench: Bench, reason: str, make: Callable[[], bytes]
) -> None:
    bad = make()
    counted, kept = bench.counted(reason), len(bench.rows())

    bench.push(bad)

    row = bench.wait_for_row(bad)
    assert (row["reason"], row["queue"], row["message_bytes"]) == (reason, QUEUE, len(bad))
    assert (len(bench.rows()), bench.counted(reason)) == (kept + 1, counted + 1)
    bench.credit(next(_numbers))


def test_the_worker_that_got_all_of_these_still_runs_and_has_sound_books(bench: Bench) -> None:
    assert bench.workers[0].is_running
    with psycopg.connect(bench.database_url) as connection:
        assert audit(connection) == SOUND


def test_neither_log_nor_row_shows_a_token_outside_of_the_message(bench: Bench) -> None:
    secret = token(7)
    bad = settle(
        [[], {"token": secret}, EMBED], headers={"kwargsrepr": f"{{'token': '{secret}'}}", "x": secret}
    )

    bench.push(bad)

    row = bench.wait_for_row(bad)
    shown = json.dumps({name: value for name, value in row.items() if name != "message"}, default=repr)
    head, payload, signature = secret.split(".")
    for part in (payload, signature, head):
        assert part not in shown
        assert part not in bench.log()
    assert row["headers"]["x"] == "(token)"
    assert row["task_id"] is not None


def test_a_message_on_the_retry_queue_is_kept_with_that_queue(bench: Bench) -> None:
    bad = settle(headers={"task": "partner.retried"})

    bench.push(bad, RETRY_QUEUE)

    assert bench.wait_for_row(bad)["queue"] == RETRY_QUEUE


def test_text_that_postgresql_does_not_take_does_not_keep_a_message_from_being_kept(bench: Bench) -> None:
    bad = settle(headers={"task": "a\0b", "id": "\ud800", "big": 10**400, "nan": float("nan"), "\0": ["\0"]})

    bench.push(bad)

    row = bench.wait_for_row(bad)
    assert (row["reason"], row["task_name"], row["task_id"]) == ("unknown_task", "a?b", "?")


def test_the_same_message_delivered_again_is_counted_and_makes_no_second_row(bench: Bench) -> None:
    bad = json.loads(settle(headers={"task": "partner.again"}))
    first = entry(bad)
    again = entry(
        bad
        | {
            "headers": bad["headers"] | {"redelivered": True},
            "properties": bad["properties"] | {"delivery_tag": "another"},
        }
    )
    other = entry(bad | {"headers": bad["headers"] | {"id": "another"}})

    for each in (first, again, other):
        bench.push(each)
    bench.wait_for_row(other)

    rows = {row["seen_count"]: row for row in bench.rows() if row["task_name"] == "partner.again"}
    assert sorted(rows) == [1, 2]
    assert rows[2]["last_seen_at"] > rows[2]["quarantined_at"]


def test_of_a_message_that_is_too_long_the_beginning_is_kept_and_its_length(bench: Bench) -> None:
    bad = b"x" * 3_000_000

    bench.push(bad)

    row = bench.wait_for_row(bad[:1_048_576])
    assert (row["reason"], row["message_bytes"]) == ("unreadable", 3_000_000)


def test_many_bad_messages_do_not_fill_up_the_worker(bench: Bench) -> None:
    for number in range(50):
        bench.push(settle(headers={"task": f"partner.many.{number}"}))
        bench.push(b"many %d" % number)

    bench.credit(next(_numbers))
    bench.wait_until_idle()

    many = [
        row for row in bench.rows() if "many" in str(row["task_name"]) or row["message"].startswith(b"many")
    ]
    assert len(many) == 100
