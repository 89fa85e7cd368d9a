"""Whatever no worker can settle ends in the table, as it stood in the queue, and the worker goes on."""

import itertools
import json
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
import redis

from deploy.local.postgres import PostgresServer
from deploy.local.valkey import ValkeyServer
from producer.client.contract import QUEUE, RETRY_QUEUE, TASK_NAME
from tests.support import bad_messages
from tests.support.bad_messages import Bench, entry, message, settle, token
from tests.support.betcore import CLIENT_ID, cashback, signer
from tests.support.books import SOUND, audit, database_of

EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
_numbers = itertools.count(1_000)


@pytest.fixture(scope="module")
def bench(
    valkey_server: ValkeyServer,
    postgres_server: PostgresServer,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Bench]:
    """One worker for all tests of this module: none of them may end it."""
    with redis.Redis.from_url(valkey_server.url) as client:
        client.flushall()
    directory = tmp_path_factory.mktemp("quarantine")
    with (
        database_of(postgres_server, migrated_template) as database_url,
        bad_messages.bench(valkey_server.url, database_url, directory) as made,
    ):
        made.start_worker()
        yield made


def without(name: str) -> bytes:
    """Return a good entry without one of its members."""
    members = json.loads(settle())
    del members[name]
    return entry(members)


def with_properties(**properties: object) -> bytes:
    made = json.loads(settle())
    return entry(made | {"properties": made["properties"] | properties})


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


def forged() -> str:
    """Return a token that names BETCORE's key and was signed with another."""
    return replace(signer(2), kid=signer(1).kid).token(at=time.time())


def two_clients() -> str:
    """Return a token that is for another partner, and then for us."""
    now = int(time.time())
    claims = f'"nbf": {now}, "exp": {now + 10}, "data": {json.dumps(json.dumps(cashback()))}'
    clients = f'"client_id": "PartnerClient-9999", "client_id": "{CLIENT_ID}"'
    return signer(1).sign(f"{{{claims}, {clients}}}".encode())


def settle_with(**claims: object) -> bytes:
    """Return an entry that is good but for these claims of its token."""
    made = signer(1).token(at=time.time(), data=cashback(), **claims)
    return settle([[], message(made), EMBED])


BAD = [
    ("unreadable", "no JSON", lambda: b"garbage"),
    ("unreadable", "nothing", lambda: b""),
    ("unreadable", "no text", lambda: b"\xff\x00\xfe"),
    ("unreadable", "a number", lambda: b"5"),
    ("unreadable", "null", lambda: b"null"),
    ("unreadable", "a list", lambda: b'[{"a": 1}]'),
    ("unreadable", "another object", lambda: b'{"token": "eyJhbGciOiJub25lIn0.e30."}'),
    ("unreadable", "no properties", lambda: without("properties")),
    ("unreadable", "no body", lambda: without("body")),
    ("unreadable", "a body that is no text", lambda: settle(replaced={"body": {"a": 1}})),
    ("unreadable", "a body that is no base64", lambda: settle(replaced={"body": "abc"})),
    ("unreadable", "a body encoding that nobody knows", lambda: with_properties(body_encoding="rot13")),
    ("unreadable", "headers in a list", lambda: settle(replaced={"headers": ["task"]})),
    ("unreadable", "too deep to be written again", lambda: settle(headers={"deep": json.loads(deep(600))})),
    ("unreadable", "deeper than JSON can be read", lambda: deep(100_000).encode()),
    ("unreadable", "a type that kombu cannot make", lambda: b'{"__type__": "decimal", "__value__": "x"}'),
    ("unknown_message", "no task", lambda: settle({"no": "task"}, replaced={"headers": {}})),
    ("unknown_message", "null headers", lambda: settle({"no": "headers"}, replaced={"headers": None})),
    ("unknown_task", "a task of somebody else", lambda: settle(headers={"task": "partner.refund"})),
    ("unknown_task", "a task of Celery itself", lambda: settle(headers={"task": "celery.map"})),
    ("unreadable", "a compressed body", lambda: settle(bomb(), headers={"compression": "zlib"})),
    ("unreadable", "more bytes than are read", lambda: settle(headers={"much": "x" * 262_144})),
    ("undecodable", "no JSON and no task", lambda: settle(b"{", replaced={"headers": {"id": "1"}})),
    ("undecodable", "a body that is no JSON", lambda: settle(b"{")),
    ("invalid_task", "pickle", lambda: settle(replaced={"content-type": "application/x-python-serialize"})),
    ("invalid_task", "an expiry that is no time", lambda: settle(headers={"expires": "never"})),
    ("invalid_task", "an ETA that is no time", lambda: settle(headers={"eta": "someday"})),
    ("invalid_task", "retries that are no number", lambda: settle(headers={"retries": "many"})),
    ("invalid_task", "a task id that is a number", lambda: settle(headers={"id": 7})),
    ("invalid_task", "arguments that are a text", lambda: settle(["abc", {}, EMBED])),
    ("invalid_task", "keyword arguments in a list", lambda: settle([[], [], EMBED])),
    ("invalid_task", "a callback", lambda: settle([[], {}, EMBED | {"callbacks": [{"task": "x"}]}])),
    ("malformed_task", "no task id", lambda: settle(replaced={"headers": {"task": TASK_NAME}})),
    ("malformed_task", "a task that is a list", lambda: settle(headers={"task": ["cashback.settle"]})),
    ("malformed_task", "a body that is a number", lambda: settle(b"5")),
    ("malformed_task", "a body that is null", lambda: settle(b"null")),
    ("malformed_task", "a body of two parts", lambda: settle([[], {}])),
    ("bad_message", "other arguments", lambda: settle([[], {"amount": 5}, EMBED])),
    ("bad_message", "arguments by position", lambda: settle([[5], message(token()), EMBED])),
    ("bad_message", "no receipt time", lambda: settle([[], {"version": 1, "token": token()}, EMBED])),
    ("no_token", "what is no token", lambda: settle([[], message("abc"), EMBED])),
    ("bad_signature", "a forged signature", lambda: settle([[], message(forged()), EMBED])),
    ("wrong_client", "another partner's token", lambda: settle_with(client_id="PartnerClient-9999")),
    ("wrong_client", "nobody's token", lambda: settle_with(client_id=None)),
    ("token_lives_too_long", "a token for a year", lambda: settle_with(exp=time.time() + 365 * 86_400)),
    ("token_not_yet_valid", "issued tomorrow", lambda: settle_with(iat=time.time() + 86_400)),
    ("duplicate_member", "two clients", lambda: settle([[], message(two_clients()), EMBED])),
]  # fmt: skip


def bomb() -> bytes:
    """Return a thousand bytes that would be as many million."""
    return zlib.compress(bytes(1_000_000), level=9)


@pytest.mark.parametrize(
    ("reason", "make"), [pytest.param(reason, make, id=name) for reason, name, make in BAD]
)
def test_a_bad_message_is_kept_as_it_was_and_counted_and_the_next_event_is_credited(
    bench: Bench, reason: str, make: object
) -> None:
    assert callable(make)
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

    rows = [row for row in bench.rows() if row["task_name"] == "partner.again"]
    assert [row["seen_count"] for row in rows] == [2, 1]
    assert rows[0]["last_seen_at"] > rows[0]["quarantined_at"]


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
