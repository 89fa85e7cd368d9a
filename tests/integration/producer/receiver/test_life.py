"""The receiver's start, readiness, overload and end, over real HTTP."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import redis
from psycopg import sql

from cashback_client.contract import QUEUE
from deploy.local.ports import free_port
from deploy.local.processes import wait_until
from deploy.local.valkey import ValkeyServer
from producer.receiver.handler import MAX_LOOKUPS
from tests.support.betcore import cashback, signer
from tests.support.receiver import RunningReceiver, running_receiver


def test_a_receiver_that_started_without_keys_becomes_ready_by_itself(
    redis_url: str, database_url: str
) -> None:
    with running_receiver(
        redis_url=redis_url, database_url=database_url, published=False, ready=False
    ) as receiver:
        unready = receiver.client.get("/readyz")
        receiver.betcore.publish(receiver.signer)

        wait_until(receiver.is_ready, what="the receiver has the keys", timeout_seconds=120)
        assert receiver.make_event().status_code == 200
        assert (unready.status_code, unready.json()["parts"]["keys"]) == (503, "none")
        assert receiver.metric("cashback_key_fetches_total", result="ok") >= 1


def test_without_keys_the_receiver_is_alive_but_not_ready_and_answers_503(
    redis_url: str, database_url: str
) -> None:
    with running_receiver(
        redis_url=redis_url,
        database_url=database_url,
        ready=False,
        betcore_url=f"http://127.0.0.1:{free_port()}",
    ) as receiver:
        reply = receiver.make_event()
        ready = receiver.client.get("/readyz")

        assert (reply.status_code, reply.json()["ErrorCode"]) == (503, 102823)
        assert (ready.status_code, ready.json()["parts"]["keys"]) == (503, "none")
        assert receiver.client.get("/healthz").status_code == 200
        assert receiver.metric("cashback_keys_age_seconds") == float("inf")
        assert receiver.metric("cashback_makes_total", outcome="unavailable", reason="keys_unavailable") == 1


def test_a_rotated_key_is_fetched_when_its_first_token_comes(redis_url: str, database_url: str) -> None:
    with running_receiver(redis_url=redis_url, database_url=database_url) as receiver:
        receiver.betcore.publish(signer(1), signer(3))

        reply = receiver.make(signer(3).token(at=time.time()))

        assert reply.status_code == 200
        assert receiver.betcore.fetches == 2


def test_with_the_fallback_betcore_is_asked_while_the_keys_cannot_be_had(
    redis_url: str, database_url: str
) -> None:
    with running_receiver(
        redis_url=redis_url, database_url=database_url, verify_fallback=True, jwks_unknown_key_seconds=0
    ) as receiver:
        receiver.betcore.keys = (500, b"")
        token = signer(4).token(at=time.time())

        receiver.betcore.answer_verify(200)
        vouched = receiver.make(token)
        receiver.betcore.answer_verify(401, status=401)
        refused = receiver.make(token)
        receiver.betcore.verify = (500, b"")
        undecided = receiver.make(token)
        receiver.betcore.answer_verify(200)
        expired = receiver.make(signer(4).token(at=time.time() - 60))

        assert [each.status_code for each in (vouched, refused, undecided, expired)] == [200, 401, 503, 401]
        assert receiver.betcore.asked[:3] == [token] * 3


def test_more_makes_at_once_than_allowed_are_answered_503(
    redis_url: str, database_url: str, valkey_server: ValkeyServer
) -> None:
    with (
        running_receiver(redis_url=redis_url, database_url=database_url, max_in_flight=1) as receiver,
        ThreadPoolExecutor(1) as others,
    ):
        valkey_server.freeze()
        try:
            first = others.submit(receiver.make_event)
            wait_until(
                lambda: receiver.metric("cashback_makes_in_flight") == 1,
                what="the first make is under way",
                timeout_seconds=120,
            )
            second = receiver.make_event(cashback(2))
        finally:
            valkey_server.thaw()

        assert (second.status_code, second.json()["ErrorCode"]) == (503, 102823)
        assert "Retry-After" in second.headers
        assert first.result().status_code == 200
        assert receiver.metric("cashback_makes_total", outcome="unavailable", reason="overload") == 1


def test_makes_whose_key_is_looked_for_take_no_place_from_others_and_have_few_of_their_own(
    redis_url: str, database_url: str
) -> None:
    surplus = 5
    with (
        running_receiver(redis_url=redis_url, database_url=database_url, max_in_flight=1) as receiver,
        ThreadPoolExecutor(MAX_LOOKUPS + surplus) as others,
    ):
        receiver.betcore.gate = threading.Event()
        try:
            stranger = signer(2)
            unknown = [
                others.submit(receiver.make, stranger.token(at=time.time(), data=cashback(number)))
                for number in range(MAX_LOOKUPS + surplus)
            ]
            wait_until(
                lambda: sum(each.done() for each in unknown) >= surplus,
                what="what is beyond the budget is answered while the keys hang",
                timeout_seconds=120,
            )
            honest = receiver.make_event()
        finally:
            receiver.betcore.gate.set()

        assert honest.status_code == 200
        replies = [each.result().status_code for each in unknown]
        assert replies.count(503) >= surplus
        assert 200 not in replies


def test_copies_go_on_when_the_caller_goes_away_and_the_end_waits_for_them(
    redis_url: str, database_url: str, valkey_server: ValkeyServer
) -> None:
    thaw = threading.Timer(0.5, valkey_server.thaw)
    with running_receiver(redis_url=redis_url, database_url=database_url) as receiver:
        valkey_server.freeze()
        leave_when_it_is_under_way(receiver)
        thaw.start()
    thaw.join()

    with redis.Redis.from_url(redis_url) as client:
        assert client.llen(QUEUE) == 1
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM receipts").fetchone() == (1,)


def leave_when_it_is_under_way(receiver: RunningReceiver) -> None:
    """Send a make, and go away as soon as its copies are being made."""
    content, url = receiver.token().encode(), receiver.client.base_url
    head = f"POST /cashback-payments/make HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n\r\n"
    with socket.create_connection((url.host, url.port or 80)) as connection:
        connection.sendall(head.encode() + content)
        wait_until(
            lambda: recorded(receiver, "ok") == 1, what="one of its copies is made", timeout_seconds=120
        )


def test_a_database_without_the_schema_is_not_ready_and_the_message_alone_is_enough(
    redis_url: str, database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP FUNCTION record_receipts CASCADE")
    with running_receiver(redis_url=redis_url, database_url=database_url) as receiver:
        parts = receiver.client.get("/readyz").json()["parts"]

        assert parts == {"keys": "ok", "postgresql": "copy_failed", "redis": "ok"}
        assert receiver.make_event().status_code == 200
        assert receiver.metric("cashback_copies_total", kind="receipt", result="copy_failed") == 1


def test_a_server_that_is_read_only_is_away_until_it_takes_writes(redis_url: str, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        database = sql.Identifier(connection.info.dbname)
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(database)
        )
        with running_receiver(redis_url=redis_url, database_url=database_url) as receiver:
            receiver.make_event()
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(
                sql.SQL("ALTER DATABASE {} RESET default_transaction_read_only").format(database)
            )

            wait_until(
                lambda: receiver.make_event().status_code == 200 and recorded(receiver, "ok") >= 1,
                what="a receipt is recorded through a new connection",
                timeout_seconds=120,
            )
            assert recorded(receiver, "copy_timed_out") >= 1


def test_a_full_redis_counts_as_a_failed_copy(redis_url: str, database_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory", "1")
        try:
            with running_receiver(redis_url=redis_url, database_url=database_url) as receiver:
                reply = receiver.make_event()
                failed = receiver.metric("cashback_copies_total", kind="message", result="copy_failed")
        finally:
            client.config_set("maxmemory", "0")

    assert reply.status_code == 200
    assert failed == 1


def recorded(receiver: RunningReceiver, result: str) -> float:
    return receiver.metric("cashback_copies_total", kind="receipt", result=result)
