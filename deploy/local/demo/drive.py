"""Carries a plan out: sends its makes through the simulator and watches their events come to their ends."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

from deploy.local.demo.history import RECEIVED_STATUS, Sent, StageRow
from deploy.local.demo.planning.plan import Plan, PlannedMake, Stage
from deploy.local.errors import LocalError
from deploy.local.steps import StepFailed, step

_WATCH_SECONDS: Final = 0.2
_CLOSED: Final = frozenset({"answered", "refused", "expired"})


class DriveFailed(LocalError):
    """The simulator did not send a make that it was asked to send."""

    reason = "drive_failed"


class _NothingMoves(Exception):
    """Nothing has come of anything for so long that nothing will."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast to send, and how long to wait for what does not come.

    `spread_seconds` is what the plan takes at least. A machine that is slower than that sets its own pace: no
    new event is sent while `open_events` have not come to their ends. The run ends when all has come to its
    end, or when nothing at all has moved for `patience_seconds`.
    """

    spread_seconds: float
    open_events: int
    patience_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far the whole is: makes sent, events received, events that came to their end."""

    sent: int
    received: int
    ended: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """What was sent, by the number in the plan, and what the simulator has logged at the end.

    `missing` says what was waited for in vain.
    """

    sent: Mapping[int, Sent]
    log: dict[str, Any]
    missing: tuple[str, ...]


class Driver:
    """Sends one plan, once.

    `simulator` is a client of the simulator; `stages` tells how far the events on record are. `show` is
    called with each progress, several times a second; `check` as often, and may raise.
    """

    def __init__(  # noqa: PLR0913 -- all are named where it is built
        self,
        plan: Plan,
        *,
        simulator: httpx.AsyncClient,
        stages: Callable[[], Awaitable[Sequence[StageRow]]],
        pace: Pace,
        show: Callable[[Standing], None],
        check: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan = plan
        self._simulator = simulator
        self._read_stages = stages
        self._pace = pace
        self._show = show
        self._check = check
        self._monotonic = monotonic
        self._changed = asyncio.Condition()
        self._sent: dict[int, Sent] = {}
        self._sent_at: dict[int, float] = {}
        self._stages: dict[str, Stage] = {}
        # Makes that were sent, or are just being sent, and have not come to their ends.
        self._open: set[int] = set()

    async def run(self) -> Drive:
        """Send everything, wait for the ends, and return what was seen.

        What does not come to its end is left so: the checks find it. Raises DriveFailed, StepFailed, and what
        `check` raises.
        """
        missing = await self._send_all()
        with step("reading the simulator's log"):
            log = (await self._simulator.get("/sim/log")).raise_for_status().json()
        return Drive(sent=self._sent, log=log, missing=missing)

    async def _send_all(self) -> tuple[str, ...]:
        begun = self._monotonic()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch())
                group.create_task(self._send_those_that_lead(group, begun=begun))
                for make in self._plan.makes:
                    if make.after is not None:
                        group.create_task(self._follow(make, other=make.after, begun=begun))
        except BaseExceptionGroup as failures:
            # The first one is the cause; it made the group cancel the others.
            cause = failures.exceptions[0]
            if isinstance(cause, _NothingMoves):
                return tuple(self._missing())
            if isinstance(cause, StepFailed):
                # Where a process died of which nobody knew yet, that is the cause.
                self._check()
            raise cause from failures
        return ()

    async def _send_those_that_lead(self, group: asyncio.TaskGroup, *, begun: float) -> None:
        for make in self._plan.makes:
            if make.after is not None:
                continue
            await self._sleep_until(begun + make.place * self._pace.spread_seconds)
            async with self._changed:
                await self._changed.wait_for(lambda: len(self._open) < self._pace.open_events)
            self._begin(make)
            group.create_task(self._post(make))

    async def _follow(self, make: PlannedMake, *, other: int, begun: float) -> None:
        """Send a make when the other has come so far, ahead of all that are new: some are waited for."""
        await self._sleep_until(begun + make.place * self._pace.spread_seconds)
        async with self._changed:
            await self._changed.wait_for(lambda: self._stage(other) >= make.until)
        await self._sleep_until(self._sent_at[other] + make.apart_seconds)
        self._begin(make)
        await self._post(make)

    async def _sleep_until(self, moment: float) -> None:
        await asyncio.sleep(max(0.0, moment - self._monotonic()))

    def _begin(self, make: PlannedMake) -> None:
        if not make.lasting:
            self._open.add(make.number)

    async def _post(self, make: PlannedMake) -> None:
        with step(f"sending make {make.number} ({make.kind}) to the simulator"):
            reply = await self._simulator.post("/sim/makes", json=self._order(make))
        if reply.status_code != httpx.codes.OK:
            raise DriveFailed(f"make {make.number}: the simulator said {reply.status_code}: {reply.text}")
        answer = reply.json()
        async with self._changed:
            self._sent[make.number] = Sent(
                make_id=answer["make_id"],
                token_sha256=answer["token_sha256"],
                http_status=answer["http_status"],
                error=answer["error"],
            )
            self._sent_at[make.number] = self._monotonic()
            self._changed.notify_all()

    def _order(self, make: PlannedMake) -> dict[str, object]:
        if not make.same_token or make.after is None:
            return dict(make.order)
        return {
            "same_token_as": self._sent[make.after].make_id,
            "body_shape": make.order["body_shape"],
        }

    def _stage(self, number: int) -> Stage:
        sent = self._sent.get(number)
        return Stage.PLANNED if sent is None else self._stages.get(sent.token_sha256, Stage.SENT)

    def _has_ended(self, number: int) -> bool:
        sent = self._sent.get(number)
        return sent is not None and (
            sent.http_status != RECEIVED_STATUS or self._stage(number) == Stage.CLOSED
        )

    async def _watch(self) -> None:
        moved_at, last = self._monotonic(), None
        while True:
            self._check()
            with step("asking PostgreSQL how far the events are"):
                rows = await self._read_stages()
            async with self._changed:
                self._stages = {token: _stage(state, runs) for token, state, runs in rows}
                self._open = {number for number in self._open if not self._has_ended(number)}
                self._changed.notify_all()
            self._show(standing := self._standing())
            if standing.sent == len(self._plan.makes) and standing.ended == standing.received:
                return
            if (now := (standing, sorted(rows))) != last:
                moved_at, last = self._monotonic(), now
            elif self._monotonic() - moved_at > self._pace.patience_seconds:
                raise _NothingMoves
            await asyncio.sleep(_WATCH_SECONDS)

    def _standing(self) -> Standing:
        received = {sent.token_sha256 for sent in self._sent.values() if sent.http_status == RECEIVED_STATUS}
        ended = sum(self._stages.get(token) == Stage.CLOSED for token in received)
        return Standing(sent=len(self._sent), received=len(received), ended=ended)

    def _missing(self) -> list[str]:
        """Say what did not come, one line each."""
        lines = []
        for make in self._plan.makes:
            name = f"make {make.number} ({make.kind}, CashbackId {make.cashback_id})"
            if make.number not in self._sent:
                waits = make.after is not None and self._stage(make.after) < make.until
                until = f": waits until make {make.after} is {make.until.name.lower()}" if waits else ""
                lines.append(f"{name} was not sent{until}")
            elif not self._has_ended(make.number):
                lines.append(f"{name} was received and is only {self._stage(make.number).name.lower()}")
        return lines


def _stage(state: str, runs: int) -> Stage:
    if state in _CLOSED:
        return Stage.CLOSED
    if state != "received":
        return Stage.SETTLED
    return Stage.TRIED if runs else Stage.SENT
