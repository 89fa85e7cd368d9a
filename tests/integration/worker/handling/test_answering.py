"""Accepts in flight: what BETCORE does to them holds up nothing else, and none of them is lost."""

import asyncio
import socket
import threading
import time
from concurrent.futures import Future

import pytest

from cashback_client.contract import OWN_PRODUCER, SettleMessage
from tests.support.accept_answers import ACK
from tests.support.betcore import cashback
from tests.support.handler_bench import Bench, bench
from tests.support.raw_betcore import Answering, Peer, Request, in_turn, reply, silence
from worker.domain.deadline import Deadline
from worker.domain.settlement import Done, GiveUp, RetryAt, State, Step
from worker.errors import BearerUnavailable
from worker.handling.attempt import Answer

MANY = 60
WAIT_SECONDS = 120


def begun(on: Bench, message: SettleMessage, *, producer: str = OWN_PRODUCER) -> "Future[Step]":
    """Settle an event in this thread and have its accept sent; gives what follows once it is there."""
    came_to = on.handler.handle(message, retries=0, producer=producer)
    assert isinstance(came_to, Answer)
    step: Future[Step] = Future()
    on.answering.send(came_to, then=step.set_result)
    return step


def makes(on: Bench, count: int) -> list[SettleMessage]:
    return [on.message(cashback(CashbackId=number)) for number in range(1, count + 1)]


def test_one_thread_credits_events_while_betcore_answers_none_of_them(database_url: str) -> None:
    # Given a BETCORE that takes accepts and never answers
    with bench(database_url, silence) as on:
        # When one thread handles many events
        steps = [begun(on, message) for message in makes(on, MANY)]

        # Then all are credited and all accepts are on their way, though not one of them has ended
        on.await_accepts(MANY)
        assert on.balance() == MANY * 100_050
        assert not any(step.done() for step in steps)


def test_what_betcore_answers_late_counts_as_an_answer(database_url: str) -> None:
    release = threading.Event()

    def held(peer: Peer, connection: socket.socket, request: Request) -> None:
        release.wait(WAIT_SECONDS)
        ACK(peer, connection, request)

    with bench(database_url, held, hold_seconds=0.1) as on:
        step = begun(on, on.message())
        # Given that the event was held in vain before: it is in flight for longer than it was held at first
        wait_until_held(on)
        release.set()

        assert step.result(WAIT_SECONDS) == Done(State.ANSWERED)
        assert len(on.accepts()) == 1


def wait_until_held(on: Bench) -> None:
    """Wait until the hold of the one event was made longer."""
    held = "SELECT next_attempt_at > clock_timestamp() + interval '3 s' FROM receipts"
    while on.connection.execute(held).fetchone() != (True,):
        time.sleep(0.02)


def test_an_accept_that_later_ones_overtake_is_sent_once_more(database_url: str) -> None:
    # Given an accept that BETCORE took and forgot
    with bench(database_url, in_turn(silence, ACK), hold_seconds=0.1) as on:
        first, *others = makes(on, 3)
        lost = begun(on, first)
        on.await_accepts(1)

        # When BETCORE answers accepts that were sent well after it
        time.sleep(1.2)
        steps = [begun(on, message).result(WAIT_SECONDS) for message in others]

        # Then it is sent again, and ends its event once
        assert [lost.result(WAIT_SECONDS), *steps] == [Done(State.ANSWERED)] * 3
        assert [body["Value"]["CashbackId"] for body in on.accepts()].count(1) == 2
        assert on.balance() == 3 * 100_050


def forgets(times: int) -> Answering:
    """Take the first accepts of cashback 1 and never answer them; acknowledge all others."""

    def answer(peer: Peer, connection: socket.socket, request: Request) -> None:
        mine = [body for body in peer.bodies("accept") if body["Value"]["CashbackId"] == 1]
        is_forgotten = b'"CashbackId": 1,' in request.body and len(mine) <= times
        (silence if is_forgotten else ACK)(peer, connection, request)

    return answer


def test_an_accept_that_is_overtaken_again_is_sent_again(database_url: str) -> None:
    with bench(database_url, forgets(2), hold_seconds=0.1) as on:
        first, *others = makes(on, 3)
        lost = begun(on, first)
        for number, other in enumerate(others):
            # Given that BETCORE has forgotten each of its accepts so far
            on.await_accepts(1 + 2 * number)
            time.sleep(1.2)
            assert begun(on, other).result(WAIT_SECONDS) == Done(State.ANSWERED)

        assert lost.result(WAIT_SECONDS) == Done(State.ANSWERED)


def test_an_event_whose_last_chance_hangs_has_one_more_when_betcore_is_well_again(database_url: str) -> None:
    shift = [0.0]
    with bench(database_url, forgets(2), monotonic=lambda: time.monotonic() + shift[0]) as on:
        first, other = makes(on, 2)
        lost = begun(on, first)
        on.await_accepts(1)
        # Given that the accept of its last moments is forgotten, too
        shift[0] = on.handler.timing.deadline_seconds - 2.5
        on.await_accepts(2)

        # When BETCORE answers an accept that was sent well after it
        shift[0] += 1.1
        assert begun(on, other).result(WAIT_SECONDS) == Done(State.ANSWERED)

        assert lost.result(WAIT_SECONDS) == Done(State.ANSWERED)


class LateBearer:
    """Has a token once it is `there`."""

    def __init__(self) -> None:
        self.there = threading.Event()

    async def bearer(self, deadline: Deadline) -> str:
        while not self.there.is_set():
            if deadline.remaining_seconds(time.monotonic()) <= 0:
                raise BearerUnavailable
            await asyncio.sleep(0.01)
        return "x"

    def rejected(self, bearer: str) -> bool:
        raise AssertionError(bearer)

    def close(self) -> None:
        """There is nothing to close."""


def test_an_accept_waits_for_its_token_for_as_long_as_its_event_has(database_url: str) -> None:
    bearers, shift = LateBearer(), [0.0]
    clock = lambda: time.monotonic() + shift[0]  # noqa: E731

    def late(peer: Peer, connection: socket.socket, request: Request) -> None:
        peer.closing.wait(0.5)
        ACK(peer, connection, request)

    with bench(database_url, late, bearers=bearers, monotonic=clock) as on:
        step = begun(on, on.message())
        wait_until_held(on)
        # What was not sent is not lost either, in the last moments neither.
        shift[0] = on.handler.timing.deadline_seconds - 2.5
        time.sleep(1.2)
        bearers.there.set()

        assert step.result(WAIT_SECONDS) == Done(State.ANSWERED)
        assert len(on.accepts()) == 1


def test_the_last_moments_are_used_where_all_accepts_hang(database_url: str) -> None:
    with bench(database_url, in_turn(silence, ACK), deadline_seconds=6.0, cutoff_seconds=5.0) as on:
        assert begun(on, on.message()).result(WAIT_SECONDS) == Done(State.ANSWERED)
        assert len(on.accepts()) == 2


def test_beyond_the_limit_an_event_is_credited_and_sent_later(database_url: str) -> None:
    with bench(database_url, silence, max_in_flight=1) as on:
        first, second = makes(on, 2)
        in_flight = begun(on, first)
        on.await_accepts(1)

        step = begun(on, second).result(WAIT_SECONDS)

        assert isinstance(step, RetryAt)
        assert on.balance() == 2 * 100_050
        assert on.receipt(second) == ("settled", 200, False, "not sent: too many accepts wait for BETCORE")
        assert len(on.accepts()) == 1
        assert not in_flight.done()


def test_partners_have_half_of_the_room_and_makes_find_the_rest(database_url: str) -> None:
    # Given partners whose accepts hang, and fill what they may
    with bench(database_url, silence, max_in_flight=4) as on:
        *of_partners, too_many, own = makes(on, 4)
        for place, message in enumerate(of_partners):
            begun(on, message, producer=("edge", "mobile")[place])
        on.await_accepts(2)

        # when another one of theirs comes, and a make
        step = begun(on, too_many, producer="edge").result(WAIT_SECONDS)
        begun(on, own)

        # then theirs is credited and sent later, and ours is sent.
        on.await_accepts(3)
        assert isinstance(step, RetryAt)
        assert on.balance() == 4 * 100_050


def test_a_partner_whose_accepts_were_answered_has_room_again(database_url: str) -> None:
    with bench(database_url, ACK, max_in_flight=2) as on:
        for message in makes(on, 5):
            assert begun(on, message, producer="edge").result(WAIT_SECONDS) == Done(State.ANSWERED)


@pytest.mark.parametrize("asked", ["3", "Wed, 01 Jan 2200 00:00:00 GMT"], ids=["seconds", "date"])
def test_betcore_is_left_alone_for_as_long_as_it_asks_within_the_events_time(
    database_url: str, asked: str
) -> None:
    with bench(database_url, reply(429, b"", f"Retry-After: {asked}")) as on:
        step = on.handle(on.message())

    assert isinstance(step, RetryAt)
    assert step.delay_seconds >= 3


def test_an_event_whose_accept_never_got_an_answer_expires(database_url: str) -> None:
    with bench(database_url, silence, deadline_seconds=2.0, cutoff_seconds=1.5) as on:
        message = on.message()

        step = begun(on, message).result(WAIT_SECONDS)

        assert isinstance(step, GiveUp)
        state, code, unconfirmed, error = on.receipt(message) or ()
        assert (state, code, unconfirmed) == ("expired", 200, True)
        assert "Timeout" in error


def test_who_stops_waits_for_answers_and_leaves_the_rest_to_others(database_url: str) -> None:
    release = threading.Event()

    def first_is_held(peer: Peer, connection: socket.socket, request: Request) -> None:
        if b'"CashbackId": 1,' in request.body:
            release.wait(WAIT_SECONDS)
            ACK(peer, connection, request)
        else:
            silence(peer, connection, request)

    with bench(database_url, first_is_held) as on:
        answered, left = (begun(on, message) for message in makes(on, 2))
        on.await_accepts(2)

        answered.add_done_callback(lambda _: None)
        release.set()
        on.answering.close(timeout_seconds=3)

        assert answered.result(WAIT_SECONDS) == Done(State.ANSWERED)
        assert not left.done()
        # What comes now is left alone: whoever takes the event next sends it.
        assert isinstance(on.handler.handle(on.message(cashback(CashbackId=9)), retries=0), Answer)
