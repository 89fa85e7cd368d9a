"""The receiver over real HTTP, Valkey and PostgreSQL: what is answered, and what is stored."""

import json
import time
from base64 import b64decode
from typing import Any

import psycopg
import redis

from cashback_client.contract import QUEUE, event_id_of
from deploy.local.postgres import PostgresServer
from deploy.local.processes import wait_until
from deploy.local.valkey import ValkeyServer
from tests.support.betcore import cashback
from tests.support.receiver import RunningReceiver, running_receiver

SUCCESS = {"ErrorCode": 200, "Message": "Success"}
# Shorter than the default, so that the tests of servers that do not answer end soon.
# For the copy that cannot be made; the other one has to be made in it.
COPY_TIMEOUT_SECONDS = 2.0


def receipts_in(database_url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(
            "SELECT event_id, token_of(event_id), cashback_id, state FROM receipts"
        ).fetchall()


def messages_in(redis_url: str) -> list[dict[str, Any]]:
    with redis.Redis.from_url(redis_url) as client:
        return [json.loads(entry) for entry in client.lrange(QUEUE, 0, -1)]


def wait_for(receiver: RunningReceiver, part: str) -> None:
    """Wait until the receiver makes this copy again."""
    wait_until(
        lambda: receiver.client.get("/readyz").json()["parts"][part] == "ok",
        what=f"the receiver reaches {part} again",
        timeout_seconds=120,
    )


def test_a_make_is_stored_as_a_receipt_and_as_a_message(redis_url: str, database_url: str) -> None:
    with running_receiver(redis_url=redis_url, database_url=database_url) as receiver:
        token = receiver.token(cashback(481))
        before_ms = int(time.time() * 1000)

        reply = receiver.make(json.dumps(token))

        assert (reply.status_code, reply.json()) == (200, SUCCESS)
        assert receipts_in(database_url) == [(event_id_of(token), token, 481, "received")]
        (message,) = messages_in(redis_url)
        arguments, keywords, _ = json.loads(b64decode(message["body"]))
        assert message["headers"]["id"] == str(event_id_of(token))
        assert arguments == []
        assert keywords["token"] == token
        assert before_ms <= keywords["received_at_ms"] <= int(time.time() * 1000)
        assert receiver.metric("cashback_makes_total", outcome="received", reason="ok") == 1
        assert receiver.metric("cashback_copies_total", kind="receipt", result="ok") == 1
        assert receiver.metric("cashback_copies_total", kind="message", result="ok") == 1
        assert receiver.metric("cashback_makes_in_flight") == 0


def test_the_times_of_the_receipt_count_from_the_moment_of_receipt(redis_url: str, database_url: str) -> None:
    with running_receiver(
        redis_url=redis_url,
        database_url=database_url,
        deadline_seconds=20,
        answer_reserve_seconds=4,
        copy_timeout_seconds=15,
    ) as receiver:
        receiver.make_event()

        with psycopg.connect(database_url) as connection:
            row = connection.execute(
                "SELECT extract(epoch FROM received_at), "
                "extract(epoch FROM credit_cutoff_at - received_at), "
                "extract(epoch FROM deadline_at - received_at), "
                "extract(epoch FROM next_attempt_at - received_at) "
                "FROM receipts"
            ).fetchone()
        (message,) = messages_in(redis_url)
    _, keywords, _ = json.loads(b64decode(message["body"]))
    assert row is not None
    assert [float(value) for value in row] == [keywords["received_at_ms"] / 1000, 16, 20, 3]


def test_the_same_token_again_is_the_same_event(redis_url: str, database_url: str) -> None:
    with running_receiver(redis_url=redis_url, database_url=database_url) as receiver:
        body = json.dumps(receiver.token())

        replies = [receiver.make(body).json() for _ in range(3)]

        assert replies == [SUCCESS] * 3
        assert len(receipts_in(database_url)) == 1
        assert len({message["headers"]["id"] for message in messages_in(redis_url)}) == 1


def test_all_three_shapes_of_the_body_are_taken(redis_url: str, database_url: str) -> None:
    with running_receiver(redis_url=redis_url, database_url=database_url) as receiver:
        token = receiver.token()

        for body in (json.dumps(token), token, f" {token}\r\n", json.dumps({"token": token})):
            reply = receiver.make(body)
            assert (reply.status_code, reply.json()) == (200, SUCCESS), body

        assert len(receipts_in(database_url)) == 1


def test_verified_data_that_is_wrong_is_received_for_the_worker_to_answer(
    redis_url: str, database_url: str
) -> None:
    with running_receiver(redis_url=redis_url, database_url=database_url) as receiver:
        reply = receiver.make_event({"CashbackId": "77", "Amount": [], "PartnerUserId": None})

        assert (reply.status_code, reply.json()) == (200, SUCCESS)
        assert [row[2] for row in receipts_in(database_url)] == [77]


def test_while_redis_is_down_the_receipt_alone_is_enough(
    redis_url: str, database_url: str, valkey_server: ValkeyServer
) -> None:
    with running_receiver(
        redis_url=redis_url, database_url=database_url, copy_timeout_seconds=COPY_TIMEOUT_SECONDS
    ) as receiver:
        valkey_server.kill()
        try:
            reply = receiver.make_event()
            ready = receiver.ready_anew()
        finally:
            valkey_server.start()

        assert (reply.status_code, reply.json()) == (200, SUCCESS)
        assert len(receipts_in(database_url)) == 1
        assert (ready.status_code, ready.json()["parts"]["postgresql"]) == (200, "ok")
        assert ready.json()["parts"]["redis"] != "ok"
        assert receiver.metric("cashback_copies_total", kind="receipt", result="ok") == 1
        assert receiver.metric("cashback_copies_total", kind="message", result="ok") == 0

        wait_for(receiver, "redis")
        receiver.make_event()
        assert len(messages_in(redis_url)) == 1


def test_while_postgresql_is_down_the_message_alone_is_enough(
    redis_url: str, database_url: str, postgres_server: PostgresServer
) -> None:
    with running_receiver(
        redis_url=redis_url, database_url=database_url, copy_timeout_seconds=COPY_TIMEOUT_SECONDS
    ) as receiver:
        receiver.make_event(cashback(1))
        postgres_server.stop_immediate()
        try:
            reply = receiver.make_event(cashback(2))
            ready = receiver.ready_anew()
        finally:
            postgres_server.start()

        assert (reply.status_code, reply.json()) == (200, SUCCESS)
        assert len(messages_in(redis_url)) == 2
        assert (ready.status_code, ready.json()["parts"]["redis"]) == (200, "ok")
        assert ready.json()["parts"]["postgresql"] != "ok"

        # It finds PostgreSQL again by itself, and what was received meanwhile gets its receipt.
        wait_for(receiver, "postgresql")
        assert [row[2] for row in receipts_in(database_url)] == [1, 2]
        receiver.make_event(cashback(3))
        assert len(receipts_in(database_url)) == 3


def test_with_neither_copy_the_answer_is_503_with_retry_after(
    redis_url: str, database_url: str, valkey_server: ValkeyServer, postgres_server: PostgresServer
) -> None:
    with running_receiver(
        redis_url=redis_url, database_url=database_url, copy_timeout_seconds=COPY_TIMEOUT_SECONDS
    ) as receiver:
        valkey_server.kill()
        postgres_server.stop_immediate()
        try:
            reply = receiver.make_event()
            ready = receiver.ready_anew()
            alive = receiver.client.get("/healthz")
        finally:
            valkey_server.start()
            postgres_server.start()

        assert reply.status_code == 503
        assert int(reply.headers["Retry-After"]) >= 1
        assert reply.json()["ErrorCode"] == 102823
        assert (ready.status_code, ready.json()["ready"]) == (503, False)
        assert alive.status_code == 200
        assert receiver.metric("cashback_makes_total", outcome="unavailable", reason="no_copy") == 1


def test_a_frozen_redis_does_not_hold_up_the_answer(
    redis_url: str, database_url: str, valkey_server: ValkeyServer
) -> None:
    with running_receiver(
        redis_url=redis_url, database_url=database_url, copy_timeout_seconds=COPY_TIMEOUT_SECONDS
    ) as receiver:
        receiver.make_event()
        valkey_server.freeze()
        try:
            replies = [receiver.make_event(cashback(number)) for number in range(1, 3)]
        finally:
            valkey_server.thaw()

        assert [reply.status_code for reply in replies] == [200, 200]
        # Only the first one has waited for it.
        assert receiver.metric("cashback_copies_total", kind="message", result="copy_timed_out") == 1
        wait_for(receiver, "redis")
        # For a moment the head that nobody takes can look like a long queue.
        wait_until(
            lambda: receiver.make_event().status_code == 200, what="a make is taken", timeout_seconds=120
        )
        assert receiver.metric("cashback_copies_total", kind="message", result="ok") == 2


def test_a_frozen_postgresql_does_not_hold_up_the_answer_and_wedges_no_connection(
    redis_url: str, database_url: str, postgres_server: PostgresServer
) -> None:
    with running_receiver(
        redis_url=redis_url,
        database_url=database_url,
        copy_timeout_seconds=COPY_TIMEOUT_SECONDS,
        receiver_database_pool_size=2,
    ) as receiver:
        receiver.make_event()
        postgres_server.freeze()
        try:
            replies = [receiver.make_event(cashback(number)) for number in range(1, 5)]
            both = receiver.ready_anew()
        finally:
            postgres_server.thaw()

        assert [reply.status_code for reply in replies] == [200] * 4
        assert both.json()["parts"]["postgresql"] == "copy_timed_out"
        # Only the first one has waited for it.
        assert receiver.metric("cashback_copies_total", kind="receipt", result="copy_timed_out") == 1
        wait_for(receiver, "postgresql")
        assert receiver.make_event(cashback(99)).status_code == 200
        wait_until(
            lambda: len(receipts_in(database_url)) == 6,
            what="all that was received has its receipt",
            timeout_seconds=120,
        )
