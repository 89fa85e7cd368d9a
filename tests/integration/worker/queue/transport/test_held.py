"""What a worker takes stays in Redis until it lets go of it; on a real Valkey."""

from collections import Counter

import pytest
import redis

from tests.support.held import held
from tests.support.holder_bench import (
    OTHER,
    QUEUE,
    Worker,
    give_back_of_others,
    push,
    raws,
    run,
)
from worker.queue.transport.held import (
    HELD,
    LEASES,
    RETURNED,
)


def test_what_was_taken_is_in_redis_until_it_is_let_go_of(client: redis.Redis) -> None:
    push(client, b"a", b"b", b"c")
    worker = Worker(client)

    taken = worker.take(2)

    assert (raws(taken), client.llen(QUEUE), held(client)) == ([b"a", b"b"], 1, 2)
    assert raws(worker.take(let_go=[taken[0].field])) == [b"c"]
    assert held(client) == 2


def test_what_landed_is_in_redis_before_and_after_the_take_that_notes_it(client: redis.Redis) -> None:
    worker = Worker(client)
    worker.take()
    push(client, b"a", b"b")

    landed = worker.wait()

    assert (landed.raw, held(client)) == (b"a", 1)
    assert raws(worker.take(landed=landed.field)) == [b"b"]
    assert held(client) == 2
    worker.take(0, let_go=[landed.field])
    assert held(client) == 1


def test_what_landed_and_whose_reply_was_lost_comes_with_the_next_take(client: redis.Redis) -> None:
    worker = Worker(client)
    worker.take()
    push(client, b"a")
    worker.wait()

    assert raws(worker.take()) == [b"a"]
    assert held(client) == 1


def test_what_landed_and_is_done_with_already_is_not_noted_for_ever(client: redis.Redis) -> None:
    worker = Worker(client)
    worker.take()
    push(client, b"a")
    landed = worker.wait()

    worker.take(landed=landed.field, let_go=[landed.field])

    assert held(client) == 0


def test_no_queue_is_shut_out_by_the_others(client: redis.Redis) -> None:
    push(client, *[b"other"] * 100, queue=OTHER)
    push(client, *[b"third"] * 100, queue="third")
    push(client, *[b"fresh"] * 100)

    taken = Worker(client, QUEUE, OTHER, "third").take(12)

    assert Counter(each.queue for each in taken) == {QUEUE: 4, OTHER: 4, "third": 4}


def test_a_queue_alone_has_all_the_room(client: redis.Redis) -> None:
    push(client, *[b"other"] * 100, queue=OTHER)

    assert len(Worker(client, QUEUE, OTHER, "third").take(12)) == 12


def test_of_large_entries_fewer_are_taken_at_once_and_each_in_its_turn(client: redis.Redis) -> None:
    large = [b"%d" % number * 1_000_000 for number in range(5)]
    push(client, *large)
    worker = Worker(client)

    takes = [raws(worker.take(32)) for _ in range(3)]

    assert takes == [large[:3], large[3:], []]


def test_a_server_that_has_no_memory_left_can_be_emptied(client: redis.Redis) -> None:
    push(client, *(b"%d" % number for number in range(5)))
    worker, lost = Worker(client), Worker(client)
    taken = worker.take(1)
    lost.take(1)
    lost.dies()
    client.zadd(LEASES, {worker.holder.key.removeprefix(HELD): 10**13})
    client.config_set("maxmemory", 1)
    try:
        give_back_of_others(client)
        taken += worker.take(10)
        with pytest.raises(redis.ResponseError, match="maxmemory"):
            run(client, worker.holder.wait(1))
        assert run(client, worker.holder.pause(0.01)) is None
        worker.take(0, let_go=[each.field for each in taken])
    finally:
        client.config_set("maxmemory", 0)

    assert sorted(raws(taken)) == [b"%d" % number for number in range(5)]
    assert (client.exists(QUEUE, RETURNED), held(client)) == (0, 0)


def test_a_lease_is_written_seldom(client: redis.Redis) -> None:
    worker = Worker(client)
    worker.take()
    before = client.zrange(LEASES, 0, -1, withscores=True)

    worker.take()

    assert client.zrange(LEASES, 0, -1, withscores=True) == before
