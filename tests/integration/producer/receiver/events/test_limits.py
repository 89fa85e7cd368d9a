"""What partners may do, and what a flood of theirs leaves to the makes, on a receiver that runs."""

import threading
from pathlib import Path

import httpx
import redis

from cashback_client.contract import QUEUE
from deploy.local.processes import wait_until
from producer.receiver.events.models import MAX_EVENTS
from producer.receiver.paths import EVENTS_PATH
from tests.support.betcore import cashback
from tests.support.partner_keys import (
    EDGE,
    KEYS,
    MOBILE,
    PATIENT,
    bearer,
    event_of,
    hand_in,
    key_line,
    kinds_of,
    state_of,
    why,
)
from tests.support.receiver import RunningReceiver, running_receiver

FLOODS = ((EDGE, 1), (EDGE, 2), (MOBILE, 3), (MOBILE, 4))


def test_where_nobody_has_a_key_there_are_no_events(redis_url: str, database_url: str) -> None:
    with running_receiver(redis_url=redis_url, database_url=database_url) as receiver:
        nowhere = receiver.client.get("/nowhere")
        asked = [hand_in(receiver, [event_of(receiver, 1)]), state_of(receiver, "x")]

    assert [(reply.status_code, reply.content) for reply in asked] == [(404, nowhere.content)] * 2


def test_keys_are_rotated_under_way(redis_url: str, database_url: str, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(key_line("edge", "old"))
    with running_receiver(
        redis_url=redis_url, database_url=database_url, partner_keys_file=str(path), **PATIENT
    ) as receiver:
        count = iter(range(1, 1_000_000))

        def is_taken(key: str) -> bool:
            return hand_in(receiver, [event_of(receiver, next(count))], key=key).status_code == 200

        assert (is_taken("old"), is_taken("new")) == (True, False)
        path.write_text(f"{key_line('edge', 'old')}\n{key_line('edge', 'new')}")
        wait_until(lambda: is_taken("new"), what="the new key counts", timeout_seconds=120)
        assert is_taken("old")
        path.write_text(key_line("edge", "new"))
        wait_until(lambda: not is_taken("old"), what="the old key is gone", timeout_seconds=120)
        assert is_taken("new")


def test_a_producer_beyond_its_quota_is_told_when_to_come_and_another_one_is_not_held_up(
    redis_url: str, database_url: str
) -> None:
    keys = f"{key_line('edge', EDGE, '0.001')};{key_line('mobile', MOBILE)}"
    with running_receiver(redis_url=redis_url, database_url=database_url, partner_keys=keys) as receiver:
        # What is refused is counted as well: it has to be looked at.
        assert kinds_of(hand_in(receiver, [1] * MAX_EVENTS)) == ["refused"] * MAX_EVENTS

        beyond = [
            hand_in(receiver, [1]),
            # Too large, and not read.
            receiver.client.post(EVENTS_PATH, content=b" " * 3_000_000, headers=bearer(EDGE)),
            hand_in(receiver, [event_of(receiver, 1)] * MAX_EVENTS),
        ]

        assert [why(reply) for reply in beyond] == [(429, "quota")] * 3
        # An event comes back after 1,000 s, so that no machine is too slow for this.
        assert all(1 <= int(reply.headers["Retry-After"]) <= 1_000 for reply in beyond[:2])
        assert kinds_of(hand_in(receiver, [event_of(receiver, 2)], key=MOBILE)) == ["accepted"]
        assert receiver.metric("cashback_partner_requests_total", producer="edge", outcome="quota") == 3


def test_a_producer_has_half_of_the_requests_and_leaves_the_other_half(
    redis_url: str, database_url: str
) -> None:
    with running_receiver(
        redis_url=redis_url,
        database_url=database_url,
        partner_keys=KEYS,
        partner_requests_at_once=2,
        jwks_unknown_key_seconds=0,
    ) as receiver:
        # Given a request that waits for BETCORE's keys,
        gate = receiver.betcore.gate = threading.Event()
        fetches = receiver.betcore.fetches
        unknown = {"token": receiver.signer.sign(b"{}", kid="another")}
        held = threading.Thread(target=hand_in, args=(receiver, [unknown]))
        held.start()
        wait_until(lambda: receiver.betcore.fetches > fetches, what="it waits", timeout_seconds=120)

        # when more come
        of_the_same = hand_in(receiver, [event_of(receiver, 1)])
        of_another = hand_in(receiver, [event_of(receiver, 2)], key=MOBILE)
        make = receiver.make_event(cashback(3))
        gate.set()
        held.join()

        # then that of the same producer is told to come again, and nobody else.
        assert why(of_the_same) == (503, "overload")
        assert of_the_same.headers["Retry-After"] == "1"
        assert kinds_of(of_another) == ["accepted"]
        assert make.status_code == 200


def test_a_producer_whose_events_wait_too_long_is_told_to_come_later_and_another_one_is_not(
    redis_url: str, database_url: str
) -> None:
    with running_receiver(
        redis_url=redis_url, database_url=database_url, partner_keys=KEYS, shed_wait_seconds=2
    ) as receiver:
        count = iter(range(1, 1_000_000))

        def hands_in() -> httpx.Response:
            return hand_in(receiver, [event_of(receiver, next(count))])

        # Given that nobody settles what a partner hands in,
        wait_until(lambda: hands_in().status_code == 503, what="it is told so", timeout_seconds=120)

        reply = hands_in()

        assert why(reply) == (503, "backlog")
        assert reply.headers["Retry-After"] == "1"
        assert kinds_of(hand_in(receiver, [event_of(receiver, next(count))], key=MOBILE)) == ["accepted"]
        assert receiver.make_event(cashback(next(count))).status_code == 200


def flood(receiver: RunningReceiver, key: str, number: int, replies: list[httpx.Response]) -> None:
    events = [event_of(receiver, 100_000 * number + each) for each in range(MAX_EVENTS)]
    garbage = [{"token": "a.b.c"}] * MAX_EVENTS
    with httpx.Client(base_url=receiver.client.base_url, timeout=120, headers=bearer(key)) as client:
        replies.extend(client.post(EVENTS_PATH, json={"events": items}) for items in (events, garbage) * 3)


def test_a_flood_of_full_requests_leaves_every_make_its_answer(redis_url: str, database_url: str) -> None:
    with running_receiver(
        redis_url=redis_url, database_url=database_url, partner_keys=KEYS, **PATIENT
    ) as receiver:
        replies: list[httpx.Response] = []
        floods = [
            threading.Thread(target=flood, args=(receiver, key, number, replies)) for key, number in FLOODS
        ]
        for each in floods:
            each.start()
        makes: list[httpx.Response] = []
        while any(each.is_alive() for each in floods) or not makes:
            makes.append(receiver.make_event(cashback(len(makes) + 1)))
        for each in floods:
            each.join()

        assert {make.status_code for make in makes} == {200}
        assert {reply.status_code for reply in replies} == {200}
        assert len(replies) == 6 * len(FLOODS)
        with redis.Redis.from_url(redis_url) as client:
            assert client.llen(QUEUE) == len(makes)
