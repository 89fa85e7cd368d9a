"""What a stranger writes into the keys that workers share keeps nobody's entries back; on a real Valkey."""

import pytest
import redis

from tests.support.held import held
from tests.support.holder_bench import QUEUE, Worker, give_back_of_others, push, raws, run, scores
from worker.queue.transport.held import HELD, LANDING, LEASES, MAX_GIVEN_BACK

STRANGER = f"stranger:1:ab@{QUEUE}"


@pytest.mark.parametrize("prefix", [HELD, LANDING])
@pytest.mark.parametrize("command", ["SET", "SADD"])
def test_an_owner_whose_key_is_of_another_type_keeps_no_other_from_being_given_back(
    client: redis.Redis, prefix: str, command: str
) -> None:
    push(client, b"a")
    lost = Worker(client)
    lost.take()
    lost.dies()
    # Its lease is the first that has ended.
    client.zadd(LEASES, {STRANGER: 0})
    run(client, (command, prefix + STRANGER, "x"))

    given_back = [give_back_of_others(client) for _ in range(2)]

    assert [each.entries for each in given_back] == [0, 1]
    assert raws(Worker(client).take()) == [b"a"]
    assert not client.exists(prefix + STRANGER)


def test_of_what_lies_on_the_landing_list_no_more_is_taken_than_there_is_room_for(
    client: redis.Redis,
) -> None:
    worker = Worker(client)
    worker.take()
    client.rpush(worker.holder.key.replace(HELD, LANDING), *[b"x"] * 100)
    push(client, b"a")

    assert raws(worker.take(10)) == [b"x"] * 10
    for _ in range(9):
        worker.take(10)
    assert raws(worker.take(10)) == [b"a"]


def test_what_lies_on_the_landing_list_of_the_gone_goes_back_in_steps(client: redis.Redis) -> None:
    client.zadd(LEASES, {STRANGER: 0})
    client.rpush(LANDING + STRANGER, *[b"x"] * 250)

    steps = [give_back_of_others(client) for _ in range(3)]

    assert [(step.entries, step.left) for step in steps] == [
        (MAX_GIVEN_BACK, 150),
        (MAX_GIVEN_BACK, 50),
        (50, 0),
    ]
    assert held(client) == 0


@pytest.mark.parametrize("ends", ["inf", "1e300"])
def test_a_lease_without_an_end_ends_all_the_same_and_the_living_go_on(
    client: redis.Redis, ends: str
) -> None:
    push(client, b"a", b"b")
    lost, living = Worker(client), Worker(client)
    lost.take(1)
    living.take(0)
    client.zadd(LEASES, dict.fromkeys(scores(client, LEASES), ends))

    assert raws(living.take(1)) == [b"b"]

    give_back_of_others(client)
    assert scores(client, LEASES)[lost.holder.key.removeprefix(HELD).encode()] < 1e14


def test_owners_that_never_were_are_forgotten_one_by_one(client: redis.Redis) -> None:
    push(client, b"a")
    lost = Worker(client)
    lost.take()
    lost.dies()
    client.zadd(LEASES, {f"{number}{STRANGER}": 0 for number in range(50)} | {"": 0, "\xff\n@": 0})

    entries = [give_back_of_others(client).entries for _ in range(53)]

    assert sum(entries) == 1
    assert raws(Worker(client).take()) == [b"a"]
