"""Group commit: whatever goes wrong, for one or for all, everybody gets an outcome of its own."""

import psycopg

from deploy.local.postgres import PostgresServer
from deploy.local.processes import wait_until
from tests.support.books import SOUND, audit, balances, new_event
from tests.support.group_commit import (
    ASLEEP,
    FIRST,
    GATE,
    NAMES,
    WAIT_SECONDS,
    events_of,
    number_of,
    scene_on,
)
from tests.support.tcp_proxy import proxy_to, through
from worker.errors import LedgerUnavailable


def transactions_at_commit(connection: psycopg.Connection) -> list[list[str]]:
    """Return the users that were credited, by the database transaction that did it."""
    return [
        row[0]
        for row in connection.execute(
            "SELECT array_agg(user_id ORDER BY user_id) FROM transactions JOIN accounts USING (account_id) "
            "GROUP BY transactions.xmin::text ORDER BY min(transaction_id)"
        )
    ]


def test_who_waits_is_settled_in_one_transaction_and_gets_its_own_outcome(database_url: str) -> None:
    with scene_on(database_url) as scene:
        calls = scene.gather(events_of(*NAMES))
        scene.let_go()

        settled = {name: call.result(WAIT_SECONDS) for name, call in calls.items()}

        assert {name: each.transaction and each.transaction.user_id for name, each in settled.items()} == {
            name: name for name in calls
        }
        assert transactions_at_commit(scene.connection) == [[FIRST], NAMES]
        assert audit(scene.connection) == SOUND


def test_a_member_whose_cutoff_passes_in_the_group_takes_no_other_with_it(database_url: str) -> None:
    with scene_on(database_url) as scene:
        # Given a member that has two seconds to its cut-off, and a group that takes longer than that,
        scene.connection.execute(GATE)
        late = new_event(number_of("user-1"))
        scene.connection.execute(
            "SELECT record_receipt(%s, %s, 1, clock_timestamp(), 2, 900, 3)", (late.event_id, late.token)
        )
        calls = scene.gather({"user-1": late, **events_of("user-2", "user-3")})
        scene.connection.execute("INSERT INTO gate VALUES (2)")
        scene.let_go()
        scene.wait_for(ASLEEP, 1)
        # when the cut-off has passed before the group commits,
        scene.connection.execute(
            "SELECT pg_sleep_until(credit_cutoff_at + interval '0.01 s') FROM receipts WHERE event_id = %s",
            (late.event_id,),
        )
        scene.connection.execute("DELETE FROM gate")

        # then that one is declined, and the others are credited.
        assert {name: call.result(WAIT_SECONDS).code for name, call in calls.items()} == {
            FIRST: 200,
            "user-1": 102823,
            "user-2": 200,
            "user-3": 200,
        }
        assert balances(scene.connection, "user-1", "user-2") == {"user-1": 0, "user-2": 1000}
        assert audit(scene.connection) == SOUND


def test_a_connection_that_is_cut_after_the_groups_commit_leaves_each_with_its_credit(
    database_url: str, postgres_server: PostgresServer
) -> None:
    with (
        proxy_to("127.0.0.1", postgres_server.port) as proxy,
        scene_on(database_url, ledger_url=through(database_url, proxy.port)) as scene,
    ):
        events = events_of(*NAMES)
        calls = scene.gather(events)
        proxy.cut_on = events["user-3"].token.encode()
        scene.let_go()

        settled = {name: call.result(WAIT_SECONDS) for name, call in calls.items()}

        assert proxy.cuts == 1
        assert {each.code for each in settled.values()} == {200}
        assert transactions_at_commit(scene.connection) == [[FIRST], NAMES]
        assert balances(scene.connection, *NAMES) == dict.fromkeys(NAMES, 1000)
        assert audit(scene.connection) == SOUND


def test_a_server_frozen_in_the_middle_of_a_group_holds_nobody_and_credits_nobody_twice(
    database_url: str, postgres_server: PostgresServer
) -> None:
    with scene_on(database_url, timeout_seconds=10.0) as scene:
        scene.connection.execute(GATE)
        events = events_of(*NAMES)
        calls = scene.gather(events)
        scene.connection.execute("INSERT INTO gate VALUES (2)")
        scene.let_go()
        scene.wait_for(ASLEEP, 1)
        postgres_server.freeze()
        try:
            errors = {name: calls[name].exception(WAIT_SECONDS) for name in NAMES}
        finally:
            postgres_server.thaw()

        assert {type(error) for error in errors.values()} == {LedgerUnavailable}
        scene.connection.execute("DELETE FROM gate")

        def is_settled(name: str) -> bool:
            call = scene.settle(name, events[name])
            return call.exception(WAIT_SECONDS) is None and call.result().code == 200

        for name in NAMES:
            wait_until(lambda name=name: is_settled(name), what=name, timeout_seconds=WAIT_SECONDS)  # type: ignore[misc]
        assert balances(scene.connection, *NAMES) == dict.fromkeys(NAMES, 1000)
        assert audit(scene.connection) == SOUND


def test_an_account_in_somebodys_hand_holds_up_nobody_but_its_own(database_url: str) -> None:
    with scene_on(database_url) as scene, psycopg.connect(database_url) as somebody:
        calls = scene.gather(events_of(*NAMES))
        somebody.execute("SELECT FROM accounts WHERE user_id = 'user-3' FOR UPDATE")
        scene.let_go()

        others = [calls[name].result(WAIT_SECONDS).code for name in calls if name != "user-3"]
        held = not calls["user-3"].done()
        somebody.rollback()

        assert others == [200] * 5
        assert held
        assert calls["user-3"].result(WAIT_SECONDS).code == 200


def test_the_same_event_twice_in_the_queue_is_settled_once_and_answered_twice(database_url: str) -> None:
    with scene_on(database_url) as scene:
        event = new_event(number_of("user-1"))
        calls = scene.gather({"user-1": event, **events_of("user-2")})
        again = scene.settle("user-1", event)
        wait_until(
            lambda: scene.ledger.waiting == 3,
            what="the second one waits too",
            timeout_seconds=WAIT_SECONDS,
        )
        scene.let_go()

        both = [calls["user-1"].result(WAIT_SECONDS), again.result(WAIT_SECONDS)]

        assert [each.code for each in both] == [200, 200]
        assert both[0].transaction == both[1].transaction
        assert sorted(each.runs for each in both) == [1, 2]
        assert balances(scene.connection, "user-1") == {"user-1": 1000}
