"""A network that is cut in silence between the receiver and one of its servers.

That makes do not wait is told by how many copies ran out of their time, never by a clock.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
import redis

from cashback_client.contract import QUEUE
from deploy.local.processes import wait_until
from tests.support.betcore import cashback
from tests.support.receiver import RunningReceiver, running_receiver
from tests.support.tcp_proxy import Proxy, proxy_to, through

# Of the copy that cannot be made. The other one has to be made in half of it, or the first is tried again.
COPY_TIMEOUT_SECONDS = 10.0
MAKES = 20
WAIT_SECONDS = 240


@contextmanager
def receiver_behind_proxies(
    redis_url: str, database_url: str, *, copy_timeout_seconds: float = COPY_TIMEOUT_SECONDS
) -> Iterator[tuple[RunningReceiver, Proxy, Proxy]]:
    """Run a receiver with a proxy before PostgreSQL and one before Redis, in this order."""
    with (
        proxy_to("127.0.0.1", urlsplit(database_url).port or 5432) as postgresql,
        proxy_to("127.0.0.1", urlsplit(redis_url).port or 6379) as valkey,
        running_receiver(
            redis_url=redis_url.replace(str(urlsplit(redis_url).port), str(valkey.port)),
            database_url=through(database_url, postgresql.port),
            copy_timeout_seconds=copy_timeout_seconds,
            # Nobody takes the messages here.
            shed_wait_seconds=500,
            deadline_seconds=600,
        ) as receiver,
    ):
        yield receiver, postgresql, valkey


def make(receiver: RunningReceiver, *numbers: int) -> list[int]:
    """Make these cashbacks one after the other."""
    return [receiver.make_event(cashback(number)).status_code for number in numbers]


def copies(receiver: RunningReceiver, kind: str, result: str) -> float:
    return receiver.metric("cashback_copies_total", kind=kind, result=result)


def receipts_in(database_url: str) -> dict[int, int]:
    """Return when each cashback was received, in Unix milliseconds."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT cashback_id, (extract(epoch FROM received_at) * 1000)::bigint FROM receipts"
        ).fetchall()
    return dict(rows)


def test_while_postgresql_is_cut_makes_do_not_wait_and_receipts_follow_without_a_new_make(
    redis_url: str, database_url: str
) -> None:
    with receiver_behind_proxies(redis_url, database_url) as (receiver, postgresql, _):
        postgresql.is_silent.set()

        assert make(receiver, *range(1, MAKES + 1)) == [200] * MAKES

        # The first one has found it out.
        assert copies(receiver, "receipt", "copy_timed_out") == 1
        assert copies(receiver, "receipt", "put_off") == MAKES - 1
        assert receiver.metric("cashback_copy_away", kind="receipt") == 1
        assert receiver.metric("cashback_late_receipts_waiting") == MAKES
        assert receipts_in(database_url) == {}
        with psycopg.connect(database_url) as connection:
            healed_at = connection.execute(
                "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
            ).fetchone()
        postgresql.is_silent.clear()

        wait_until(
            lambda: receiver.metric("cashback_late_receipts_total", result="recorded") == MAKES,
            what="all have their receipt",
            timeout_seconds=WAIT_SECONDS,
        )
        received = receipts_in(database_url)
        assert sorted(received) == list(range(1, MAKES + 1))
        assert healed_at is not None
        assert all(received_at < healed_at[0] for received_at in received.values())
        assert receiver.metric("cashback_copy_away", kind="receipt") == 0
        assert receiver.client.get("/readyz").json()["parts"]["postgresql"] == "ok"
        assert make(receiver, MAKES + 1) == [200]
        assert copies(receiver, "receipt", "ok") == 1


def test_makes_that_come_together_wait_together_and_no_others(redis_url: str, database_url: str) -> None:
    with (
        receiver_behind_proxies(redis_url, database_url) as (receiver, postgresql, _),
        ThreadPoolExecutor(MAKES) as callers,
    ):
        postgresql.is_silent.set()
        together = [callers.submit(make, receiver, number) for number in range(1, MAKES + 1)]
        assert [each.result() for each in together] == [[200]] * MAKES

        assert make(receiver, *range(MAKES + 1, 2 * MAKES + 1)) == [200] * MAKES

        assert copies(receiver, "receipt", "put_off") == MAKES
        # Their copies run to their end, though those who waited for them were let go.
        assert copies(receiver, "receipt", "copy_timed_out") <= MAKES
        postgresql.is_silent.clear()
        wait_until(
            lambda: len(receipts_in(database_url)) == 2 * MAKES,
            what="all have their receipt",
            timeout_seconds=WAIT_SECONDS,
        )


def test_while_redis_is_cut_makes_do_not_wait_and_messages_come_again_without_a_new_make(
    redis_url: str, database_url: str
) -> None:
    with receiver_behind_proxies(redis_url, database_url) as (receiver, _, valkey):
        valkey.is_silent.set()

        assert make(receiver, *range(1, MAKES + 1)) == [200] * MAKES

        assert copies(receiver, "message", "copy_timed_out") == 1
        assert copies(receiver, "message", "put_off") == MAKES - 1
        assert receiver.metric("cashback_copy_away", kind="message") == 1
        assert sorted(receipts_in(database_url)) == list(range(1, MAKES + 1))
        valkey.is_silent.clear()

        wait_until(
            lambda: receiver.metric("cashback_copy_away", kind="message") == 0,
            what="the receiver has found Redis again",
            timeout_seconds=WAIT_SECONDS,
        )
        # What was on its way when the network was cut may arrive now, and nothing else does.
        with redis.Redis.from_url(redis_url) as client:
            assert client.llen(QUEUE) <= 1
            before = client.llen(QUEUE)
            assert make(receiver, MAKES + 1) == [200]
            assert client.llen(QUEUE) == before + 1


def test_while_both_are_cut_no_make_is_told_that_it_was_received(redis_url: str, database_url: str) -> None:
    with receiver_behind_proxies(redis_url, database_url, copy_timeout_seconds=1) as (
        receiver,
        postgresql,
        valkey,
    ):
        for proxy in (postgresql, valkey):
            proxy.is_silent.set()

        assert make(receiver, 1, 2, 3) == [503] * 3

        # Each of them has tried both, and one that is back is enough at once.
        for kind in ("receipt", "message"):
            assert copies(receiver, kind, "copy_timed_out") == 3
        valkey.is_silent.clear()
        wait_until(
            lambda: make(receiver, 4) == [200],
            what="the message alone is enough",
            timeout_seconds=WAIT_SECONDS,
        )
        assert receiver.metric("cashback_copy_away", kind="receipt") == 1
