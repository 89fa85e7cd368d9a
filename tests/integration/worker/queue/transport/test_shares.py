"""Whose turn it is: entries are taken by weight, partners' in bounds, and no list waits for ever."""

from collections import Counter
from collections.abc import Mapping, Sequence

import pytest
import redis

from cashback_client.contract import QUEUE, RETRY_QUEUE, queue_of
from tests.support.holder_bench import Worker, give_back_of_others, push
from worker.queue.transport.held import RETURNED

EDGE, MOBILE = queue_of("edge"), queue_of("mobile")
QUEUES = (QUEUE, RETRY_QUEUE, EDGE, MOBILE)
WEIGHTS = {QUEUE: 8, EDGE: 1, MOBILE: 3}
PLENTY = 2_000


@pytest.fixture
def client(redis_url: str) -> redis.Redis:
    return redis.Redis.from_url(redis_url)


def fill(client: redis.Redis, lists: Mapping[str, int]) -> None:
    for queue, entries in lists.items():
        if not entries:
            continue
        push(client, *(b"%s %d" % (queue.encode(), number) for number in range(entries)), queue=queue)


def taken_from(worker: Worker, *, rooms: Sequence[int], partners_room: int | None = None) -> Counter[str]:
    """Take so much again and again, letting go of it each time; count by queue."""
    counted: Counter[str] = Counter()
    for room in rooms:
        taken = worker.take(room, partners_room=partners_room)
        counted.update(each.queue for each in taken)
        worker.take(0, let_go=[each.field for each in taken])
    return counted


@pytest.mark.parametrize("room", [1, 4, 7, 32])
def test_lists_that_are_full_have_their_turn_by_weight_whatever_is_taken_at_once(
    client: redis.Redis, room: int
) -> None:
    fill(client, {QUEUE: PLENTY, EDGE: PLENTY, MOBILE: PLENTY})

    counted = taken_from(Worker(client, *QUEUES, weights=WEIGHTS), rooms=[room] * (1_200 // room))

    total = sum(counted.values())
    for queue, weight in WEIGHTS.items():
        assert counted[queue] == pytest.approx(total * weight / 12, abs=4), counted


def test_of_what_lies_on_several_lists_none_waits_for_many_turns(client: redis.Redis) -> None:
    fill(client, {QUEUE: PLENTY, EDGE: 3})

    counted = taken_from(Worker(client, *QUEUES, weights=WEIGHTS), rooms=[1] * 40)

    assert counted[EDGE] == 3


@pytest.mark.parametrize("alone", QUEUES)
def test_a_list_alone_has_all_the_room(client: redis.Redis, alone: str) -> None:
    fill(client, {alone: 50})

    assert taken_from(Worker(client, *QUEUES, weights=WEIGHTS), rooms=[32]) == {alone: 32}


def test_what_one_list_does_not_fill_goes_to_the_others(client: redis.Redis) -> None:
    fill(client, {QUEUE: 3, EDGE: 100, MOBILE: 2, RETURNED: 1})

    counted = taken_from(Worker(client, *QUEUES, weights=WEIGHTS), rooms=[20])

    # What was given back and says no more of itself counts as of the queue that is waited at.
    assert counted == {QUEUE: 4, MOBILE: 2, EDGE: 14}


@pytest.mark.parametrize("own", [0, 2, 100])
def test_partners_get_no_more_than_their_room_however_little_else_there_is(
    client: redis.Redis, own: int
) -> None:
    fill(client, {QUEUE: own, EDGE: 100, MOBILE: 100})

    counted = taken_from(Worker(client, *QUEUES, weights=WEIGHTS), rooms=[20], partners_room=5)

    assert counted[EDGE] + counted[MOBILE] <= 5
    assert sum(counted.values()) == min(20, own + 5)


def test_without_room_for_partners_nothing_of_theirs_is_taken(client: redis.Redis) -> None:
    fill(client, {EDGE: 10, QUEUE: 1})

    assert taken_from(Worker(client, *QUEUES), rooms=[10], partners_room=0) == {QUEUE: 1}


def test_each_list_is_taken_from_oldest_first_and_nothing_twice(client: redis.Redis) -> None:
    fill(client, {QUEUE: 40, EDGE: 40, MOBILE: 40})
    worker = Worker(client, *QUEUES, weights=WEIGHTS)

    raws = [each.raw for _ in range(20) for each in worker.take(7)]

    assert len(raws) == len(set(raws)) == 120
    for queue in (QUEUE, EDGE, MOBILE):
        of_queue = [raw for raw in raws if raw.startswith(queue.encode() + b" ")]
        assert of_queue == [b"%s %d" % (queue.encode(), number) for number in range(40)]


def test_a_partners_key_that_is_no_list_keeps_nobody_else_from_being_served(client: redis.Redis) -> None:
    client.set(EDGE, "x")
    fill(client, {QUEUE: 1, MOBILE: 1})

    assert taken_from(Worker(client, *QUEUES), rooms=[10]) == {QUEUE: 1, MOBILE: 1}


def test_what_a_lost_worker_had_of_a_partner_is_still_the_partners(client: redis.Redis) -> None:
    fill(client, {EDGE: 2})
    lost = Worker(client, *QUEUES)
    assert len(lost.take(2)) == 2
    lost.dies()

    Worker(client, *QUEUES).take(0)
    give_back_of_others(client)

    assert [each.queue for each in Worker(client, *QUEUES).take(2)] == [EDGE, EDGE]
