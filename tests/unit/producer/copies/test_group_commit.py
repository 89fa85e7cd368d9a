"""Calls that share: who goes with whom, and that each gets its own outcome. The clock is a virtual one."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.copies.errors import CopyFailed, CopyTimedOut
from producer.copies.group_commit import GroupCommit, Member
from tests.support import virtual_time
from tests.support.futures import end_of

TIMEOUT_SECONDS = 2.0
PATIENCE_SECONDS = 0.05
MAX_SIZE = 4
AT_ONCE = 2


class ServerFault(Exception):
    """What the server says of one item, or of all that it was given."""


@dataclass(frozen=True)
class Call:
    """One call: when it starts, how long the server takes for its group, and what comes of it."""

    starts_at: float = 0.0
    takes_seconds: float = 0.001
    end: str = "ok"  # or "refused", "forgotten", "group breaks"


@dataclass
class Server:
    """Serves groups as its items say, and keeps book of it."""

    calls: Sequence[Call]
    groups: list[list[int]] = field(default_factory=list)
    busy: int = 0
    most_busy: int = 0
    came_back_at: dict[int, float] = field(default_factory=dict)

    async def serve(self, group: Sequence[Member[int]]) -> None:
        self.groups.append([member.item for member in group])
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        try:
            await asyncio.sleep(max(self.calls[member.item].takes_seconds for member in group))
        finally:
            self.busy -= 1
        now = asyncio.get_running_loop().time()
        self.came_back_at |= {member.item: now for member in group}
        if any(self.calls[member.item].end == "group breaks" for member in group):
            raise ServerFault("all")
        for member in group:
            if self.calls[member.item].end == "refused":
                member.end(ServerFault(str(member.item)))
            elif self.calls[member.item].end != "forgotten":
                member.end()

    def broken(self) -> set[int]:
        """Return the items that shared a group with one that breaks it."""
        return {
            item
            for group in self.groups
            for item in group
            if any(self.calls[other].end == "group breaks" for other in group)
        }


@dataclass(frozen=True)
class Outcome:
    """What a caller was told, and how long it took."""

    value: object
    took_seconds: float


def groups_of(
    work: Callable[[Sequence[Member[int]]], Awaitable[None]], *, max_waiting: int = 1000
) -> GroupCommit[int]:
    return GroupCommit(
        work,
        what="The server",
        at_once=AT_ONCE,
        max_size=MAX_SIZE,
        max_waiting=max_waiting,
        timeout_seconds=TIMEOUT_SECONDS,
        patience_seconds=PATIENCE_SECONDS,
    )


def outcomes_of(server: Server, *, max_waiting: int = 1000) -> list[Outcome]:
    """Make all calls and return what each caller was told."""

    async def one(groups: GroupCommit[int], item: int, call: Call) -> Outcome:
        await asyncio.sleep(call.starts_at)
        started = asyncio.get_running_loop().time()
        future = end_of(groups.join, item)
        (told,) = await asyncio.gather(future, return_exceptions=True)
        return Outcome(told, asyncio.get_running_loop().time() - started)

    async def run() -> list[Outcome]:
        groups = groups_of(server.serve, max_waiting=max_waiting)
        told = await asyncio.gather(*(one(groups, item, call) for item, call in enumerate(server.calls)))
        # What was told that its time is up may still be under way.
        await asyncio.sleep(10 * TIMEOUT_SECONDS)
        return told

    return virtual_time.run(run())


SOME_CALLS = st.lists(
    st.builds(
        Call,
        starts_at=st.sampled_from([0.0, 0.0005, 0.001, 0.02, 0.1, 1.0]),
        takes_seconds=st.sampled_from([0.0, 0.001, 0.04, 0.06, 1.0, 3.0]),
        end=st.sampled_from(["ok"] * 5 + ["refused", "forgotten", "group breaks"]),
    ),
    max_size=40,
)


@given(calls=SOME_CALLS)
def test_every_caller_gets_its_own_outcome_in_its_own_time(calls: list[Call]) -> None:
    server = Server(calls)

    outcomes = outcomes_of(server)

    served = [item for group in server.groups for item in group]
    broken = server.broken()
    assert len(served) == len(set(served))
    for item, (call, outcome) in enumerate(zip(calls, outcomes, strict=True)):
        told = outcome.value
        assert outcome.took_seconds <= TIMEOUT_SECONDS + 1e-9
        if isinstance(told, CopyTimedOut):
            assert outcome.took_seconds == pytest.approx(TIMEOUT_SECONDS)
            came_back_at = server.came_back_at.get(item, math.inf)
            assert call.end == "forgotten" or came_back_at >= call.starts_at + TIMEOUT_SECONDS - 1e-9
            # Only behind groups that take long does a call come to nothing without having been served.
            assert item in served or max(call.takes_seconds for call in calls) >= 1
        elif item in broken:
            assert isinstance(told, ServerFault)
            assert str(told) == "all"
        elif call.end == "refused":
            assert isinstance(told, ServerFault)
            assert str(told) == str(item)
        else:
            assert (call.end, told) == ("ok", None)
            assert item in served


@given(calls=SOME_CALLS)
def test_groups_are_bounded_in_size_and_number(calls: list[Call]) -> None:
    server = Server(calls)

    outcomes_of(server)

    assert all(len(group) <= MAX_SIZE for group in server.groups)
    assert server.most_busy <= AT_ONCE


def test_a_lone_call_goes_at_once() -> None:
    server = Server([Call(takes_seconds=0.0)])

    assert outcomes_of(server) == [Outcome(None, 0.0)]


def test_who_comes_while_a_group_is_under_way_goes_together_in_the_next_one() -> None:
    server = Server([Call(takes_seconds=0.03), Call(0.01), Call(0.02)])

    outcomes_of(server)

    assert server.groups == [[0], [1, 2]]
    assert server.most_busy == 1


def test_where_a_whole_group_waits_it_goes_beside_the_one_under_way() -> None:
    server = Server([Call(takes_seconds=0.03), *[Call(0.01 + number / 1000) for number in range(MAX_SIZE)]])

    outcomes_of(server)

    assert server.groups == [[0], [1, 2, 3, 4]]
    assert server.most_busy == 2


def test_a_group_that_does_not_come_back_holds_up_nobody_else() -> None:
    server = Server([Call(takes_seconds=60.0), *[Call(0.1 * number) for number in range(1, 10)]])

    outcomes = outcomes_of(server)

    assert isinstance(outcomes[0].value, CopyTimedOut)
    assert [outcome.value for outcome in outcomes[1:]] == [None] * 9


def test_a_call_whose_time_runs_out_while_it_waits_is_not_served_later() -> None:
    server = Server([Call(takes_seconds=9.0), Call(0.1, takes_seconds=9.0), Call(0.2), Call(5.0)])

    outcomes = outcomes_of(server)

    assert [type(outcome.value) for outcome in outcomes] == [CopyTimedOut] * 4
    assert server.groups == [[0], [1]]


def test_no_more_wait_than_may() -> None:
    server = Server([Call(takes_seconds=0.03), Call(0.01), Call(0.011), Call(0.012)])

    outcomes = outcomes_of(server, max_waiting=2)

    assert [outcome.value for outcome in outcomes[:3]] == [None] * 3
    assert isinstance(outcomes[3].value, CopyFailed)
    assert "too many" in str(outcomes[3].value)


def test_places_of_those_whose_time_ran_out_are_free_again() -> None:
    stuck = [Call(takes_seconds=60.0), Call(0.1, takes_seconds=60.0)]
    server = Server([*stuck, Call(0.2), Call(0.21), Call(3.0)])

    outcomes = outcomes_of(server, max_waiting=2)

    assert [type(outcome.value) for outcome in outcomes] == [CopyTimedOut] * 5


def test_a_caller_that_cannot_be_told_keeps_no_other_from_being_told() -> None:
    def deaf(_error: Exception | None) -> None:
        raise ServerFault("the caller")

    async def served(group: Sequence[Member[int]]) -> None:
        for member in group:
            member.end()

    async def run() -> None:
        groups = groups_of(served)
        groups.join(1, deaf)
        await end_of(groups.join, 2)

    virtual_time.run(run())


def test_a_server_that_is_stopped_in_the_middle_leaves_no_caller_without_an_answer() -> None:
    async def stopped(_group: Sequence[Member[int]]) -> None:
        raise asyncio.CancelledError

    async def run() -> object:
        (told,) = await asyncio.gather(end_of(groups_of(stopped).join, 1), return_exceptions=True)
        return told

    told = virtual_time.run(run())

    assert isinstance(told, CopyFailed)
    assert not isinstance(told, CopyTimedOut)
