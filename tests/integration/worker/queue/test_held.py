"""What a worker takes stays in Redis, and goes back when the worker is gone; on a real Valkey."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import redis

from tests.support.held import held
from worker.queue.held import (
    GONE,
    HELD,
    LEASES,
    RETURNED,
    GivenBack,
    Holder,
    LeaseLost,
    Taken,
    give_back_of_the_gone,
    read_given_back,
    seconds_running,
)
from worker.queue.redis_multi import Command

QUEUE = "fresh"
OTHER = "other"
# No lease ends by itself while a test runs: the tests end them.
LONG_SECONDS = 3_600.0


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as made:
        yield made


class Worker:
    """Takes entries as a channel does."""

    def __init__(self, client: redis.Redis, *queues: str) -> None:
        self.client = client
        self.holder = Holder(queues or [QUEUE], lease_seconds=LONG_SECONDS)
        self.holder.ask(queues or [QUEUE])

    def take(self, room: int = 10, *, landed: str = "", let_go: Sequence[str] = ()) -> list[Taken]:
        sent_at = seconds_running()
        reply = run(self.client, self.holder.take(room=room, landed=landed, let_go=let_go, is_known=False))
        return self.holder.read_taken(reply, sent_at=sent_at)

    def wait(self) -> Taken:
        return self.holder.landed(run(self.client, self.holder.wait(120)))

    def dies(self) -> None:
        """Let its lease end, as it does when nothing is heard of it any more."""
        end_all(self.client, LEASES)


def scores(client: Any, key: str) -> dict[bytes, float]:  # noqa: ANN401 - the same
    """Return the members of a sorted set and their scores."""
    return dict(client.zrange(key, 0, -1, withscores=True))


def end_all(client: Any, key: str) -> None:  # noqa: ANN401 - redis-py's replies are typed for both of its clients
    """Let the time of all members have come."""
    put_all(client, key, at=1)


def put_all(client: Any, key: str, *, at: int) -> None:  # noqa: ANN401 - the same
    """Let this be the time of all members."""
    client.zadd(key, dict.fromkeys(client.zrange(key, 0, -1), at))


def run(client: redis.Redis, command: Command) -> Any:  # noqa: ANN401 - what Redis replies
    return client.execute_command(*command)  # type: ignore[no-untyped-call]


def push(client: redis.Redis, *entries: bytes, queue: str = QUEUE) -> None:
    """Put entries onto a queue, the first of them to be taken first."""
    client.lpush(queue, *entries)


def give_back_of_others(client: redis.Redis) -> GivenBack:
    return read_given_back(run(client, give_back_of_the_gone()))


def raws(taken: Sequence[Taken]) -> list[bytes]:
    return [each.raw for each in taken]


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


def test_no_queue_is_shut_out_by_the_others(client: redis.Redis) -> None:
    push(client, *[b"other"] * 100, queue=OTHER)
    push(client, *[b"third"] * 100, queue="third")
    push(client, *[b"fresh"] * 100)

    taken = Worker(client, QUEUE, OTHER, "third").take(12)

    assert Counter(each.queue for each in taken) == {QUEUE: 4, OTHER: 4, "third": 4}


def test_a_queue_alone_has_all_the_room(client: redis.Redis) -> None:
    push(client, *[b"other"] * 100, queue=OTHER)

    assert len(Worker(client, QUEUE, OTHER, "third").take(12)) == 12


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
