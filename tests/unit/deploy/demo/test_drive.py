"""The demo's driver at any speed of the machine: in virtual time, against a service that takes its time."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest

from deploy.local.demo.drive import Drive, Driver, Pace
from deploy.local.demo.history import StageRow
from deploy.local.demo.planning.plan import Expectation, Plan, PlannedMake, Stage
from deploy.local.errors import LocalError, ProcessDied
from deploy.local.steps import StepFailed
from tests.support import virtual_time

OPEN_EVENTS = 4
PATIENCE_SECONDS = 100.0
PACE = Pace(spread_seconds=10.0, open_events=OPEN_EVENTS, patience_seconds=PATIENCE_SECONDS)


def planned(number: int, *, count: int, **more: object) -> PlannedMake:
    order = {"cashback_id": number, "user_id": "7"}
    make = PlannedMake(
        number=number, kind="payout", order=order, expected=Expectation(), place=(number - 1) / count
    )
    return replace(make, **more)  # type: ignore[arg-type]  # the fields of a make


def plan_of(*makes: PlannedMake) -> Plan:
    return Plan((), makes, seed=0)


class Service:
    """Settles one event after the other, each in `takes_seconds`; those in `never` it does not."""

    def __init__(self, *, takes_seconds: float, never: frozenset[int] = frozenset()) -> None:
        self.takes_seconds = takes_seconds
        self.never = never
        self.received: list[int] = []
        self.ended: set[int] = set()
        self.most_open = 0
        self._free_at = 0.0

    async def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer the simulator's two endpoints."""
        if request.method == "GET":
            return httpx.Response(200, json={"makes": [], "accepts": []})
        number = json.loads(request.content)["cashback_id"]
        self.received.append(number)
        self.most_open = max(self.most_open, len(self.received) - len(self.ended))
        if number not in self.never:
            loop = asyncio.get_running_loop()
            self._free_at = max(self._free_at, loop.time()) + self.takes_seconds
            loop.call_at(self._free_at, self.ended.add, number)
        answer = {"make_id": number, "token_sha256": str(number), "http_status": 200, "error": None}
        return httpx.Response(200, json=answer)

    async def stages(self) -> list[StageRow]:
        """Tell how far the events are."""
        return [
            (str(number), "answered" if number in self.ended else "received", 0) for number in self.received
        ]


def drive(plan: Plan, service: Service, *, check: Callable[[], None] = lambda: None) -> tuple[Drive, float]:
    """Carry the plan out; return what came of it and how long it took."""

    async def run() -> tuple[Drive, float]:
        loop = asyncio.get_running_loop()
        transport = httpx.MockTransport(service.handle)
        async with httpx.AsyncClient(transport=transport, base_url="http://simulator.test") as simulator:
            driver = Driver(
                plan,
                simulator=simulator,
                stages=service.stages,
                pace=PACE,
                show=lambda _: None,
                check=check,
                monotonic=loop.time,
            )
            return await driver.run(), loop.time()

    return virtual_time.run(run())


@pytest.mark.parametrize("takes_seconds", [0.01, 3.0, 90.0])
def test_a_machine_sets_its_own_pace_and_all_come_to_their_ends(takes_seconds: float) -> None:
    plan = plan_of(*(planned(number, count=40) for number in range(1, 41)))
    service = Service(takes_seconds=takes_seconds)

    done, took_seconds = drive(plan, service)

    assert done.missing == ()
    assert len(done.sent) == len(service.ended) == 40
    assert service.most_open <= OPEN_EVENTS
    assert took_seconds >= PACE.spread_seconds - 0.5


def test_on_a_fast_machine_the_plan_takes_what_it_is_to_take() -> None:
    plan = plan_of(*(planned(number, count=40) for number in range(1, 41)))

    _, took_seconds = drive(plan, Service(takes_seconds=0.01))

    assert took_seconds < PACE.spread_seconds + 1


def test_what_lasts_by_plan_holds_up_nobody() -> None:
    lasting = [planned(number, count=40, place=0.0, lasting=True) for number in range(1, 9)]
    others = [planned(number, count=40) for number in range(9, 41)]
    service = Service(takes_seconds=0.01, never=frozenset(range(1, 9)))

    done, _ = drive(plan_of(*lasting, *others), service)

    assert len(done.sent) == 40
    assert len(done.missing) == 8


class Partnered(Service):
    """Settles an event when the one that follows it has come, ten numbers higher."""

    async def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer as any service."""
        answer = await super().handle(request)
        self.ended |= {number - 10 for number in self.received if number > 10}
        return answer


def test_what_is_waited_for_is_sent_however_much_is_open() -> None:
    # given as many new makes as may be open, each of which waits for one that follows it
    firsts = [planned(number, count=1, place=0.0) for number in range(1, OPEN_EVENTS + 1)]
    followers = [planned(10 + each.number, count=1, place=0.5, after=each.number) for each in firsts]
    service = Partnered(takes_seconds=0.1, never=frozenset(each.number for each in firsts))

    done, _ = drive(plan_of(*firsts, *followers), service)

    assert done.missing == ()


def test_a_hang_comes_to_an_end_and_what_was_missing_is_told() -> None:
    stuck = planned(1, count=3)
    follower = planned(3, count=3, after=1, until=Stage.CLOSED)
    service = Service(takes_seconds=0.1, never=frozenset({1}))

    done, took_seconds = drive(plan_of(stuck, planned(2, count=3), follower), service)

    assert done.missing == (
        "make 1 (payout, CashbackId 1) was received and is only sent",
        "make 3 (payout, CashbackId 3) was not sent: waits until make 1 is closed",
    )
    assert PATIENCE_SECONDS < took_seconds < PATIENCE_SECONDS + PACE.spread_seconds


class Silent(Service):
    """A simulator whose answer does not come in time."""

    async def handle(self, request: httpx.Request) -> httpx.Response:
        """Fail as httpx does: without a word."""
        raise httpx.ReadTimeout("", request=request)


def test_a_send_that_fails_says_which_and_how() -> None:
    with pytest.raises(StepFailed, match=r"^sending make 1 \(payout\) to the simulator: ReadTimeout, after "):
        drive(plan_of(planned(1, count=1)), Silent(takes_seconds=0))


def test_a_process_that_died_is_told_rather_than_what_came_of_it() -> None:
    looks = iter([None, ProcessDied("simulator ended with status -9")])

    def check() -> None:
        if (found := next(looks, None)) is not None:
            raise found

    with pytest.raises(LocalError, match="simulator ended with status -9"):
        drive(plan_of(planned(1, count=1)), Silent(takes_seconds=0), check=check)
