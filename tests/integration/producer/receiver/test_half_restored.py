"""Receipts whose key is missing, as after half a restore: makes are taken on their messages meanwhile."""

import psycopg
import redis

from cashback_client.contract import QUEUE
from deploy.local.processes import wait_until
from tests.support.betcore import cashback
from tests.support.partner_keys import PATIENT
from tests.support.receiver import running_receiver

MAKES = 3


def test_makes_are_taken_on_their_messages_until_receipts_have_their_key_again(
    redis_url: str, database_url: str
) -> None:
    with (
        running_receiver(redis_url=redis_url, database_url=database_url, **PATIENT) as receiver,
        psycopg.connect(database_url, autocommit=True) as owner,
    ):
        assert receiver.make_event(cashback(1)).status_code == 200
        owner.execute("ALTER TABLE receipts DROP CONSTRAINT receipts_pkey CASCADE")

        replies = [receiver.make_event(cashback(2 + number)) for number in range(MAKES)]

        assert [reply.status_code for reply in replies] == [200] * MAKES
        wait_until(
            lambda: receiver.metric("cashback_copy_away", kind="receipt") == 1,
            what="makes wait for PostgreSQL no more",
            timeout_seconds=120,
        )
        assert receiver.is_ready()
        with redis.Redis.from_url(redis_url) as client:
            assert client.llen(QUEUE) == 1 + MAKES
        assert owner.execute("SELECT count(*) FROM receipts").fetchall() == [(1,)]

        owner.execute("ALTER TABLE receipts ADD PRIMARY KEY (event_id)")

        wait_until(
            lambda: owner.execute("SELECT count(*) FROM receipts").fetchall() == [(1 + MAKES,)],
            what="the receipts are made",
            timeout_seconds=120,
        )
        wait_until(
            lambda: receiver.metric("cashback_copy_away", kind="receipt") == 0,
            what="PostgreSQL is back",
            timeout_seconds=120,
        )
