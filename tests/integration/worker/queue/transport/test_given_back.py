"""What a worker had when it was lost goes back, and to the next one; on a real Valkey."""

from collections import Counter

import pytest
import redis

from tests.support.held import held
from tests.support.holder_bench import (
    QUEUE,
    Worker,
    end_all,
    give_back_of_others,
    push,
    put_all,
    raws,
    run,
    scores,
)
from worker.queue.transport.held import (
    GONE,
    LEASES,
    RETURNED,
    GivenBack,
)
from worker.queue.transport.lease import LeaseLost


def test_a_lost_workers_entries_are_taken_by_the_next_one_the_oldest_first(client: redis.Redis) -> None:
    sent = [b"%d" % number for number in range(12)]
    push(client, *sent)
    lost = Worker(client)
    lost.take(11)
    landed = lost.wait()
    lost.dies()

    given_back = give_back_of_others(client)

    assert (given_back.entries, given_back.left) == (12, 0)
    taken = Worker(client).take(20)
    assert raws(taken) == [landed.raw, *sent[:11]]
    assert {(each.deliveries, each.queue) for each in taken} == {(1, QUEUE)}


def test_what_was_given_back_shuts_out_no_fresh_entries(client: redis.Redis) -> None:
    push(client, *[b"old"] * 20)
    lost = Worker(client)
    lost.take(20)
    lost.dies()
    give_back_of_others(client)
    push(client, *[b"fresh"] * 20)

    assert Counter(raws(Worker(client).take(10))) == {b"old": 5, b"fresh": 5}


def test_a_worker_that_lives_keeps_its_entries(client: redis.Redis) -> None:
    push(client, b"a")
    worker = Worker(client)
    worker.take()

    assert give_back_of_others(client) == GivenBack("", 0, 0)
    assert held(client) == 1


def test_many_entries_go_back_in_steps(client: redis.Redis) -> None:
    push(client, *(b"%d" % number for number in range(250)))
    lost = Worker(client)
    lost.take(250)
    lost.dies()

    steps = [give_back_of_others(client) for _ in range(4)]

    assert [(step.entries, step.left) for step in steps] == [(100, 150), (100, 50), (50, 0), (0, 0)]
    assert client.llen(RETURNED) == 250


def test_each_lost_worker_is_counted_and_one_that_gives_back_is_not(client: redis.Redis) -> None:
    push(client, b"a")
    for lost_workers in range(3):
        worker = Worker(client)
        [taken] = worker.take()
        assert taken.deliveries == lost_workers
        worker.dies()
        give_back_of_others(client)

    worker = Worker(client)
    [taken] = worker.take()
    run(client, worker.holder.give_back_one(taken))
    [taken] = worker.take()
    run(client, worker.holder.give_back())

    assert [each.deliveries for each in Worker(client).take()] == [3]


def test_a_worker_whose_lease_has_ended_takes_nothing_any_more(client: redis.Redis) -> None:
    push(client, b"a", b"b")
    paused = Worker(client)
    paused.take(1)
    paused.dies()

    with pytest.raises(LeaseLost):
        paused.take(1)

    assert not paused.holder.lease.is_kept()
    assert (client.llen(QUEUE), held(client)) == (1, 1)
    give_back_of_others(client)
    with pytest.raises(LeaseLost):
        paused.take(1)
    assert raws(Worker(client).take()) == [b"a", b"b"]


def test_what_lands_at_a_worker_that_was_given_up_is_found_however_late(client: redis.Redis) -> None:
    paused = Worker(client)
    paused.take()
    paused.dies()
    give_back_of_others(client)

    for entry in (b"a", b"b"):
        push(client, entry)
        paused.wait()
        end_all(client, GONE)  # The time of the next look has come.
        assert give_back_of_others(client).entries == 1
        assert raws(Worker(client).take()) == [entry]


def test_who_is_gone_is_forgotten_in_the_end(client: redis.Redis) -> None:
    lost = Worker(client)
    lost.take()
    lost.dies()
    give_back_of_others(client)
    [member] = scores(client, GONE)
    client.delete(GONE)
    client.zadd(GONE, {b"1 " + member.split(b" ", 1)[1]: 1})

    give_back_of_others(client)

    assert not client.exists(GONE)


def test_an_entry_is_given_back_once(client: redis.Redis) -> None:
    push(client, b"a")
    worker = Worker(client)
    [taken] = worker.take()

    for _ in range(2):
        run(client, worker.holder.give_back_one(taken))

    assert (client.llen(RETURNED), held(client)) == (1, 0)


def test_a_hash_with_a_field_of_nobodys_goes_back_all_the_same(client: redis.Redis) -> None:
    push(client, b"a")
    lost = Worker(client)
    lost.take()
    client.hset(lost.holder.key, "what is this", "b")
    lost.dies()

    assert give_back_of_others(client).entries == 2
    assert {(each.raw, each.queue) for each in Worker(client).take()} == {(b"a", QUEUE), (b"b", QUEUE)}


def test_a_lease_that_a_clock_ahead_has_left_ends_all_the_same(client: redis.Redis) -> None:
    push(client, b"a")
    lost, living = Worker(client), Worker(client)
    lost.take()
    living.take()
    put_all(client, LEASES, at=10**15)

    give_back_of_others(client)
    living.take()

    assert max(scores(client, LEASES).values()) < 10**14


@pytest.mark.parametrize(
    "entry",
    [b"", b"\xff", b"1", b"1 \n", b"-1 q\nx", b"1000 q\nx", b"1 " + b"q" * 256 + b"\nx", b"1 \xff\nx"],
)
def test_what_lies_there_and_was_never_given_back_is_an_entry_all_the_same(
    client: redis.Redis, entry: bytes
) -> None:
    client.rpush(RETURNED, entry)

    [taken] = Worker(client).take()

    assert (taken.raw, taken.deliveries, taken.queue) == (entry, 0, QUEUE)


def test_an_entry_is_any_bytes(client: redis.Redis) -> None:
    entry = bytes(range(256))
    push(client, entry)
    lost = Worker(client)
    lost.take()
    lost.dies()
    give_back_of_others(client)

    assert raws(Worker(client).take()) == [entry]
