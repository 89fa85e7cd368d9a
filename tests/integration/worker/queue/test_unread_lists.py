"""What lies on lists that nobody reads is counted and named; what is ours for certain comes to its queue."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from structlog.testing import capture_logs

from cashback_client.contract import QUEUE, RETRY_QUEUE
from worker.metrics import Metrics
from worker.queue.unread_lists import SEPARATOR, SLIPS, UnreadLists, of_priority


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, socket_timeout=60) as client:
        yield client


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def lists(client: redis.Redis, metrics: Metrics) -> UnreadLists:
    return UnreadLists(lambda question: question(client), metrics)


def named(metrics: Metrics, name: str) -> float | None:
    return metrics.registry.get_sample_value("cashback_unread_entries", {"list": name})


def look(lists: UnreadLists) -> list[Any]:
    """Look once; return what was told."""
    with capture_logs() as logs:
        lists.look()
    return [(line["event"], line.get("list"), line.get("entries")) for line in logs]


def test_no_slip_is_a_list_of_ours_or_of_another_slip() -> None:
    assert len(set(SLIPS)) == len(SLIPS)
    assert not {QUEUE, RETRY_QUEUE, *of_priority((QUEUE, RETRY_QUEUE))} & set(SLIPS)


@pytest.mark.parametrize("name", ["celery", "Cashback", "cashback.settle", "cashback:3", "rq:queue:cashback"])
def test_what_still_lies_there_at_the_second_look_is_counted_and_named_once(
    lists: UnreadLists, client: redis.Redis, metrics: Metrics, name: str
) -> None:
    client.lpush(name, "first", "second")

    assert look(lists) == []
    assert look(lists) == [("entries_nobody_reads", name, 2)]
    assert look(lists) == []
    assert named(metrics, name) == 2.0
    assert client.lrange(name, 0, -1) == [b"second", b"first"]

    client.lpush(name, "third")
    assert look(lists) == [("entries_nobody_reads", name, 3)]
    client.delete(name)
    assert look(lists) == []
    assert named(metrics, name) == 0.0


def test_a_list_that_somebody_reads_is_not_named(
    lists: UnreadLists, client: redis.Redis, metrics: Metrics
) -> None:
    client.lpush("celery", *map(str, range(10)))

    for _ in range(5):
        assert look(lists) == []
        client.rpop("celery")

    assert named(metrics, "celery") is None


def test_what_is_no_list_is_nobodys_queue(lists: UnreadLists, client: redis.Redis) -> None:
    client.set("celery", "x")
    client.hset("Cashback", "x", "y")

    assert [look(lists) for _ in range(3)] == [[], [], []]


@pytest.mark.parametrize("queue", [QUEUE, RETRY_QUEUE])
def test_what_kombu_puts_aside_for_its_priority_comes_to_the_head_of_its_queue(
    lists: UnreadLists, client: redis.Redis, metrics: Metrics, queue: str
) -> None:
    client.lpush(queue, "waits")
    client.lpush(f"{queue}{SEPARATOR}9", "first", "second")

    assert look(lists) == [("entries_moved", f"{queue} (priority 9)", 2)]

    assert client.lrange(queue, 0, -1) == [b"waits", b"first", b"second"]
    assert not client.exists(f"{queue}{SEPARATOR}9")
    moved = metrics.registry.get_sample_value(
        "cashback_moved_entries_total", {"list": f"{queue} (priority 9)"}
    )
    assert moved == 2.0
    assert look(lists) == []


def test_a_user_that_may_not_look_is_told_of_once_and_looks_at_the_rest(
    client: redis.Redis, redis_url: str, metrics: Metrics
) -> None:
    ask: Any = client.execute_command
    ask("ACL", "SETUSER", "narrow", "on", ">secret", "~cashback*", "+@all", "-lmove")
    try:
        client.lpush("celery", "unseen")
        client.lpush("cashback-retry", "seen")
        client.lpush(f"{QUEUE}{SEPARATOR}3", "not moved")
        with redis.Redis.from_url(redis_url, username="narrow", password="secret") as narrow:
            lists = UnreadLists(lambda question: question(narrow), metrics)

            assert [event for event, *_ in look(lists)] == ["lists_not_looked_at"]
            assert sorted(look(lists)) == [
                ("entries_nobody_reads", "cashback (priority 3)", 1),
                ("entries_nobody_reads", "cashback-retry", 1),
            ]
    finally:
        ask("ACL", "DELUSER", "narrow")


def test_a_list_of_a_partner_that_is_not_configured_is_named(client: redis.Redis, metrics: Metrics) -> None:
    lists = UnreadLists(lambda question: question(client), metrics, partners=["edge"])
    # Given lists of partners, of which one is read, one is in nobody's settings, and one is no partner's name
    client.lpush("cashback.partner.edge", "read")
    client.lpush("cashback.partner.mobile", "first", "second")
    client.lpush("cashback.partner.\n\xff", "odd")

    # When they are found, looked at, and looked at again
    told = [line for _ in range(3) for line in look(lists)]

    # Then those that nobody reads are named, and those that are gone are let go of
    assert sorted(told) == [
        ("entries_nobody_reads", "cashback.partner.\\n\\xff", 1),
        ("entries_nobody_reads", "cashback.partner.mobile", 2),
    ]
    client.flushall()
    assert look(lists) == []
    assert named(metrics, "cashback.partner.mobile") == 0.0


def test_a_look_for_lists_of_partners_is_bounded_and_comes_round(
    client: redis.Redis, metrics: Metrics
) -> None:
    lists = UnreadLists(lambda question: question(client), metrics)
    client.mset({f"of-another-application-{number}": "x" for number in range(5_000)})
    client.lpush("cashback.partner.mobile", "entry")

    looks = 0
    while named(metrics, "cashback.partner.mobile") != 1.0:
        looks += 1
        assert looks < 20
        lists.look()


def test_what_kombu_puts_aside_for_its_priority_on_a_partners_list_comes_to_that(
    client: redis.Redis, metrics: Metrics
) -> None:
    lists = UnreadLists(lambda question: question(client), metrics, partners=["edge"])
    client.lpush(f"cashback.partner.edge{SEPARATOR}9", "entry")

    assert look(lists) == [("entries_moved", "cashback.partner.edge (priority 9)", 1)]
    assert client.lrange("cashback.partner.edge", 0, -1) == [b"entry"]
