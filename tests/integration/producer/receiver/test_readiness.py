"""/readyz says whether a copy of a make could be made: it tries writes, and leaves nothing behind."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from psycopg import sql

from cashback_client.contract import QUEUE
from deploy.local.postgres import PostgresServer
from deploy.local.processes import wait_until
from tests.support.receiver import RunningReceiver, running_receiver

COPY_TIMEOUT_SECONDS = 2.0


@contextmanager
def full(redis_url: str) -> Iterator[None]:
    """Have Redis refuse what needs memory."""
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory", "1")
        try:
            yield
        finally:
            client.config_set("maxmemory", "0")


@pytest.fixture
def plain_user(redis_url: str) -> Iterator[str]:
    """Give the URL of a user that may do all."""
    with redis.Redis.from_url(redis_url) as client:
        client.acl_setuser("plain", enabled=True, passwords=["+secret"], keys=["*"], commands=["+@all"])
        parts = urlsplit(redis_url)
        yield parts._replace(netloc=f"plain:secret@{parts.netloc}").geturl()
        client.acl_deluser("plain")


def forbid(redis_url: str, command: str) -> None:
    """Take a right from the plain user, whose connections stay."""
    with redis.Redis.from_url(redis_url) as client:
        client.execute_command("ACL", "SETUSER", "plain", f"-{command}")


def entries_in(redis_url: str) -> int:
    with redis.Redis.from_url(redis_url) as client:
        return int(client.llen(QUEUE))


def wait_for_parts(receiver: RunningReceiver, **parts: str) -> None:
    wait_until(
        lambda: receiver.client.get("/readyz").json()["parts"] == {"keys": "ok", **parts},
        what=f"the receiver says {parts}",
        timeout_seconds=120,
    )


def test_with_a_full_redis_and_no_postgresql_makes_are_answered_503_and_so_is_the_question(
    redis_url: str, database_url: str, postgres_server: PostgresServer
) -> None:
    with running_receiver(
        redis_url=redis_url, database_url=database_url, copy_timeout_seconds=COPY_TIMEOUT_SECONDS
    ) as receiver:
        with full(redis_url):
            wait_for_parts(receiver, postgresql="ok", redis="copy_failed")
            one_copy = receiver.client.get("/readyz").status_code
            postgres_server.stop_immediate()
            try:
                wait_until(
                    lambda: not receiver.is_ready(), what="it is not ready any more", timeout_seconds=120
                )
                reply = receiver.make_event()
            finally:
                postgres_server.start()
        wait_until(receiver.is_ready, what="it is ready again", timeout_seconds=120)

    assert one_copy == 200
    assert reply.status_code == 503


def test_makes_that_are_refused_for_the_backlog_leave_it_ready(redis_url: str, database_url: str) -> None:
    # Nobody settles anything here, so whatever was taken waits for too long.
    with running_receiver(redis_url=redis_url, database_url=database_url, shed_wait_seconds=0.01) as receiver:
        wait_until(
            lambda: receiver.make_event().status_code == 503, what="makes are refused", timeout_seconds=120
        )
        ready = receiver.ready_anew()

        assert receiver.make_event().status_code == 503
        assert receiver.metric("cashback_makes_total", outcome="unavailable", reason="backlog") == 2
        assert (ready.status_code, ready.json()["ready"]) == (200, True)


def test_a_postgresql_that_takes_no_writes_is_no_place_for_a_copy(redis_url: str, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(
                sql.Identifier(connection.info.dbname)
            )
        )

    with running_receiver(redis_url=redis_url, database_url=database_url) as receiver:
        wait_for_parts(receiver, postgresql="copy_timed_out", redis="ok")


def test_the_question_leaves_nothing_on_the_queue(redis_url: str, database_url: str) -> None:
    with running_receiver(redis_url=redis_url, database_url=database_url) as receiver:
        wait_for_parts(receiver, postgresql="ok", redis="ok")

    assert entries_in(redis_url) == 0


@pytest.mark.parametrize("forbidden", ["multi", "discard"])
def test_nor_where_the_try_itself_is_not_allowed_and_makes_are_taken_as_ever(
    forbidden: str, plain_user: str, redis_url: str, database_url: str
) -> None:
    forbid(redis_url, forbidden)
    with running_receiver(redis_url=plain_user, database_url=database_url) as receiver:
        wait_for_parts(receiver, postgresql="ok", redis="ok")
        reply = receiver.make_event()

    assert reply.status_code == 200
    assert entries_in(redis_url) == 1


@pytest.mark.parametrize("forbidden", ["multi", "discard"])
def test_nor_where_that_right_is_taken_meanwhile(
    forbidden: str, plain_user: str, redis_url: str, database_url: str
) -> None:
    with running_receiver(redis_url=plain_user, database_url=database_url) as receiver:
        wait_for_parts(receiver, postgresql="ok", redis="ok")
        forbid(redis_url, forbidden)
        looks = [receiver.ready_anew().json()["parts"]["redis"] for _ in range(2)]
        left = entries_in(redis_url)
        reply = receiver.make_event()

    assert left == 0
    assert looks == ["ok", "ok"]
    assert reply.status_code == 200
    assert entries_in(redis_url) == 1
