"""Partners hand in events over real HTTP, Valkey and PostgreSQL: what is answered, and what is stored."""

import time
from collections.abc import Iterator
from uuid import uuid4

import httpx
import psycopg
import pytest
import redis

from cashback_client.contract import QUEUE, event_id_of, queue_of
from cashback_client.envelope import message_in
from deploy.local.postgres import PostgresServer
from deploy.local.valkey import ValkeyServer
from producer.receiver.events.models import MAX_EVENTS, MAX_EVENTS_BODY_BYTES
from producer.receiver.paths import EVENTS_PATH
from tests.support.betcore import signer
from tests.support.books import database_of
from tests.support.partner_keys import (
    EDGE,
    KEYS,
    MOBILE,
    PATIENT,
    bearer,
    event_of,
    hand_in,
    kinds_of,
    results_of,
    state_of,
    why,
)
from tests.support.receiver import RunningReceiver, running_receiver


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer, migrated_template: str) -> Iterator[str]:
    with database_of(postgres_server, migrated_template) as url:
        yield url


@pytest.fixture(scope="module")
def receiver(valkey_server: ValkeyServer, database: str) -> Iterator[RunningReceiver]:
    """One receiver for the whole module; nobody settles what it takes."""
    with (
        redis.Redis.from_url(valkey_server.url) as client,
        running_receiver(
            redis_url=valkey_server.url,
            database_url=database,
            partner_keys=KEYS,
            **PATIENT,
        ) as running,
    ):
        client.flushall()
        yield running


def receipt_of(database: str, token: str) -> tuple[str, int] | None:
    with psycopg.connect(database) as connection:
        return connection.execute(
            "SELECT state, (extract(epoch FROM received_at) * 1000)::bigint FROM receipts "
            "WHERE event_id = %s",
            (event_id_of(token),),
        ).fetchone()


def tokens_on(server: ValkeyServer, queue: str) -> list[str]:
    with redis.Redis.from_url(server.url) as client:
        messages = [message_in(entry) for entry in client.lrange(queue, 0, -1)]
    return [message.token for message in messages if message is not None]


def test_an_event_is_a_receipt_and_a_message_on_the_list_of_whose_key_it_came_with(
    receiver: RunningReceiver, database: str, valkey_server: ValkeyServer
) -> None:
    received_at_ms = int(time.time() * 1000) - 2_000
    edge = event_of(receiver, 1, received_at_ms=received_at_ms)
    mobile = event_of(receiver, 2)

    replies = [hand_in(receiver, [edge], key=EDGE), hand_in(receiver, [mobile], key=MOBILE)]

    assert [kinds_of(reply) for reply in replies] == [["accepted"]] * 2
    assert [results_of(reply)[0]["event_id"] for reply in replies] == [
        str(event_id_of(str(each["token"]))) for each in (edge, mobile)
    ]
    # Its 30 seconds count from when the partner received it.
    assert receipt_of(database, str(edge["token"])) == ("received", received_at_ms)
    assert receipt_of(database, str(mobile["token"])) is not None
    assert edge["token"] in tokens_on(valkey_server, queue_of("edge"))
    assert mobile["token"] in tokens_on(valkey_server, queue_of("mobile"))
    assert not {edge["token"], mobile["token"]} & set(tokens_on(valkey_server, QUEUE))


def test_each_event_is_answered_by_itself_and_in_its_place(receiver: RunningReceiver, database: str) -> None:
    now_ms = int(time.time() * 1000)
    good, before = event_of(receiver, 3), event_of(receiver, 4)
    hand_in(receiver, [before])
    strangers = {"token": signer(2).token(at=time.time())}
    cases: list[tuple[object, str, str]] = [
        (strangers, "refused", "unknown_key"),
        (good, "accepted", "ok"),
        (good, "duplicate", "ok"),
        (before, "duplicate", "ok"),
        ({"token": receiver.token(client_id="PartnerClient-1")}, "refused", "wrong_client"),
        ({"token": f"{receiver.token()[:-8]}AAAAAAAA"}, "refused", "bad_signature"),
        ({"token": "hello"}, "refused", "no_token"),
        ({"token": receiver.token({"Amount": "1"})}, "refused", "no_cashback_id"),
        ({"token": receiver.token("no data")}, "refused", "data_unreadable"),
        (event_of(receiver, 5, received_at_ms=now_ms + 60_000), "refused", "received_ahead"),
        (event_of(receiver, 5, received_at_ms=now_ms - 601_000), "refused", "too_late"),
        (event_of(receiver, 5, received_at_ms=now_ms // 1000), "refused", "too_late"),
        (event_of(receiver, 5, received_at_ms=str(now_ms)), "refused", "bad_event"),
        (event_of(receiver, 5, recieved_at_ms=now_ms), "refused", "bad_event"),
        ({}, "refused", "bad_event"),
        (None, "refused", "bad_event"),
        ("a.b.c", "refused", "bad_event"),
        (event_of(receiver, 6), "accepted", "ok"),
    ]

    results = results_of(hand_in(receiver, [item for item, _, _ in cases]))

    assert [(each["result"], each["reason"]) for each in results] == [case[1:] for case in cases]
    assert all(each["detail"] for each in results)
    assert "looks like seconds" in results[11]["detail"]
    assert [results[place]["event_id"] for place in (14, 15)] == [None, None]
    assert receipt_of(database, str(good["token"])) is not None
    assert receipt_of(database, str(strangers["token"])) is None


def test_a_thousand_events_are_taken_at_once(receiver: RunningReceiver, database: str) -> None:
    before = receiver.metric("cashback_partner_events_total", producer="edge", result="accepted")
    events = [event_of(receiver, 10_000 + number) for number in range(MAX_EVENTS)]

    reply = hand_in(receiver, events)

    assert kinds_of(reply) == ["accepted"] * MAX_EVENTS
    with psycopg.connect(database) as connection:
        [(recorded,)] = connection.execute(
            "SELECT count(*) FROM receipts WHERE event_id = ANY (%s)",
            ([event_id_of(str(each["token"])) for each in events],),
        ).fetchall()
    assert recorded == MAX_EVENTS
    after = receiver.metric("cashback_partner_events_total", producer="edge", result="accepted")
    assert after - before == MAX_EVENTS
    assert receiver.metric("cashback_makes_total", outcome="received", reason="ok") == 0


def test_who_has_no_key_hands_in_nothing_and_sees_nothing(receiver: RunningReceiver, database: str) -> None:
    event = event_of(receiver, 7)
    heads: list[dict[str, str]] = [
        {},
        bearer("another-key"),
        {"Authorization": "Bearer"},
        {"Authorization": EDGE},
        {"Authorization": f"Basic {EDGE}"},
        {"Authorization": f"Bearer {EDGE} {EDGE}"},
    ]

    for head in heads:
        replies = [
            receiver.client.post(EVENTS_PATH, json={"events": [event]}, headers=head),
            receiver.client.get(f"{EVENTS_PATH}/{uuid4()}", headers=head),
        ]
        for reply in replies:
            assert why(reply) == (401, "bad_key"), head
            assert reply.headers["WWW-Authenticate"] == "Bearer"
    assert receipt_of(database, str(event["token"])) is None
    assert receiver.metric("cashback_partner_requests_total", producer="-", outcome="bad_key") == 12


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"", 400, "bad_body"),
        (b"no JSON", 400, "bad_body"),
        (b'{"events": [{"token": "\xff"}]}', 400, "bad_body"),
        (b'{"events": [{"token": "a.b.c"}]', 400, "bad_body"),
        (b"[]", 422, "not_events"),
        (b"{}", 422, "not_events"),
        (b'{"events": []}', 422, "not_events"),
        (b'{"events": {"token": "a.b.c"}}', 422, "not_events"),
        (b'{"events": [{"token": "a.b.c"}], "producer": "mobile"}', 422, "not_events"),
        (b'{"events": [%s]}' % b",".join([b"1"] * (MAX_EVENTS + 1)), 422, "not_events"),
        (b'{"events": [%s]}' % b",".join([b"[]"] * 100_000), 422, "not_events"),
        (b"[" * 100_000, 422, "not_events"),
        (b"a" * (MAX_EVENTS_BODY_BYTES + 1), 413, "body_too_large"),
    ],
    ids=lambda value: value[:24] if isinstance(value, bytes) else None,
)
def test_a_body_that_holds_no_events_is_refused_as_a_whole(
    receiver: RunningReceiver, body: bytes, status: int, reason: str
) -> None:
    reply = receiver.client.post(EVENTS_PATH, content=body, headers=bearer(EDGE))

    assert why(reply) == (status, reason)
    assert reply.json()["error"]["detail"]


def test_another_method_is_answered_in_the_form_of_the_path(receiver: RunningReceiver) -> None:
    reply = receiver.client.get(EVENTS_PATH, headers=bearer(EDGE))

    assert why(reply) == (405, "no_route")
    assert reply.headers["Allow"] == "POST"


def test_whoever_handed_an_event_in_is_shown_how_it_stands(receiver: RunningReceiver, database: str) -> None:
    event = event_of(receiver, 8)
    (result,) = results_of(hand_in(receiver, [event]))

    reply = state_of(receiver, result["event_id"])

    assert reply.status_code == httpx.codes.OK
    shown = reply.json()
    assert shown.pop("received_at").endswith("Z")
    assert shown == {
        "event_id": result["event_id"],
        "state": "received",
        "code": None,
        "settled_at": None,
        "closed_at": None,
        "unconfirmed": False,
    }
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "UPDATE receipts SET state = 'settled', code = 102823, settled_at = now() WHERE event_id = %s",
            (result["event_id"],),
        )
    shown = state_of(receiver, result["event_id"]).json()
    assert (shown["state"], shown["code"]) == ("settled", 102823)
    assert shown["settled_at"].endswith("Z")


@pytest.mark.parametrize("event_id", ["54f77f97-64d5-4bba-8dc9-05ca6f03a60c", "no-id", "%00"])
def test_an_event_that_is_not_on_record_is_not_found(receiver: RunningReceiver, event_id: str) -> None:
    assert why(state_of(receiver, event_id)) == (404, "not_on_record")
