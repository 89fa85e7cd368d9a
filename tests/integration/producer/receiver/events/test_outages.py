"""Events of partners while a server is away: one copy that is certain is enough."""

from contextlib import ExitStack

import psycopg
import redis

from cashback_client.contract import queue_of
from deploy.local.postgres import PostgresServer
from deploy.local.valkey import ValkeyServer
from tests.support.partner_keys import KEYS, PATIENT, event_of, hand_in, kinds_of, results_of, state_of, why
from tests.support.receiver import running_receiver

# For the copy that cannot be made; the other one has to be made in it.
COPY_TIMEOUT_SECONDS = 2.0


def receipts(database_url: str) -> int:
    with psycopg.connect(database_url) as connection:
        [(number,)] = connection.execute("SELECT count(*) FROM receipts").fetchall()
    return int(number)


def messages(redis_url: str) -> int:
    with redis.Redis.from_url(redis_url) as client:
        return int(client.llen(queue_of("edge")))


def test_with_one_server_away_events_are_taken_and_with_none_they_are_to_be_sent_again(
    redis_url: str, database_url: str, valkey_server: ValkeyServer, postgres_server: PostgresServer
) -> None:
    with running_receiver(
        redis_url=redis_url,
        database_url=database_url,
        copy_timeout_seconds=COPY_TIMEOUT_SECONDS,
        partner_keys=KEYS,
        **PATIENT,
    ) as receiver:
        events = [[event_of(receiver, 10 * turn + each) for each in range(1, 4)] for turn in range(2)]
        with ExitStack() as back:
            back.callback(valkey_server.start)
            valkey_server.kill()
            without_redis = hand_in(receiver, events[0])
            known = hand_in(receiver, events[0])
            back.callback(postgres_server.start)
            postgres_server.stop_immediate()
            with_none = hand_in(receiver, events[1])
            asked = state_of(receiver, results_of(without_redis)[0]["event_id"])

        assert kinds_of(without_redis) == ["accepted"] * 3
        assert kinds_of(known) == ["duplicate"] * 3
        assert receipts(database_url) == 3
        assert kinds_of(with_none) == ["unavailable"] * 3
        assert {each["reason"] for each in results_of(with_none)} == {"no_copy"}
        assert why(asked) == (503, "record_away")
        assert int(asked.headers["Retry-After"]) >= 1
        counted = {"producer": "edge", "reason": "no_copy"}
        assert receiver.metric("cashback_partner_events_not_taken_total", **counted) == 3


def test_while_postgresql_is_away_the_message_is_enough_and_nobody_can_know_of_duplicates(
    redis_url: str, database_url: str, postgres_server: PostgresServer
) -> None:
    with running_receiver(
        redis_url=redis_url,
        database_url=database_url,
        copy_timeout_seconds=COPY_TIMEOUT_SECONDS,
        partner_keys=KEYS,
        **PATIENT,
    ) as receiver:
        events = [event_of(receiver, each) for each in range(1, 4)]
        postgres_server.freeze()
        try:
            replies = [hand_in(receiver, events) for _ in range(2)]
        finally:
            postgres_server.thaw()

        assert [kinds_of(reply) for reply in replies] == [["accepted"] * 3] * 2
        assert messages(redis_url) == 6
