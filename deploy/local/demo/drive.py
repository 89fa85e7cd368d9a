"""Carries a plan out: sends its makes through the simulator and watches their events come to their ends."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
import psycopg

from deploy.local.demo.history import RECEIVED_STATUS, STAGES, Sent
from deploy.local.demo.plan import Plan, PlannedMake, Stage
from deploy.local.errors import LocalError

CONCURRENCY: Final = 16
_WATCH_SECONDS: Final = 0.2
_SEND_TIMEOUT_SECONDS: Final = 20.0
_CLOSED: Final = frozenset({"answered", "refused", "expired"})


class DriveFailed(LocalError):
    """The simulator did not send a make that it was asked to send."""

    reason = "drive_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How the makes are spread, and how long their ends are waited for after the last one. Seconds."""

    spread_seconds: float
    grace_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far the whole is: makes sent, events received, events that came to their end."""

    sent: int
    received: int
    ended: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """What was sent, by the number in the plan, and what the simulator has logged at the end."""

    sent: Mapping[int, Sent]
    log: dict[str, Any]


class Driver:
    """Sends one plan, once.

    `show` is called with each progress, several times a second; `check` as often, and may raise.
    """

    def __init__(  # noqa: PLR0913 -- all are named where it is built
        self,
        plan: Plan,
        *,
        simulator_url: str,
        database_url: str,
        pace: Pace,
        show: Callable[[Standing], None],
        check: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan = plan
        self._simulator_url = simulator_url
        self._database_url = database_url
        self._pace = pace
        self._show = show
        self._check = check
        self._monotonic = monotonic
        self._slots = asyncio.Semaphore(CONCURRENCY)
        self._changed = asyncio.Condition()
        self._sent: dict[int, Sent] = {}
        self._sent_at: dict[int, float] = {}
        self._stages: dict[str, Stage] = {}

    async def run(self) -> Drive:
        """Send everything, wait for the ends, and return what was seen.

        What has not come to its end in time is left so: the checks find it. Raises DriveFailed,
        httpx.HTTPError, psycopg.Error, and what `check` raises.
        """
        async with (
            httpx.AsyncClient(
                base_url=self._simulator_url, timeout=_SEND_TIMEOUT_SECONDS, trust_env=False
            ) as client,
            await psycopg.AsyncConnection.connect(self._database_url, autocommit=True) as connection,
        ):
            await self._send_all(client, connection)
            log = (await client.get("/sim/log")).raise_for_status().json()
        return Drive(sent=self._sent, log=log)

    async def _send_all(self, client: httpx.AsyncClient, connection: psycopg.AsyncConnection) -> None:
        begun = self._monotonic()
        ends_at = begun + self._pace.spread_seconds + self._pace.grace_seconds
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch(connection, ends_at=ends_at))
                for make in self._plan.makes:
                    group.create_task(self._send(client, make, begun=begun, ends_at=ends_at))
        except BaseExceptionGroup as failures:
            # The first one is the cause; it made the group cancel the others.
            raise failures.exceptions[0] from failures

    async def _send(
        self, client: httpx.AsyncClient, make: PlannedMake, *, begun: float, ends_at: float
    ) -> None:
        due_at = begun + make.place * self._pace.spread_seconds
        await asyncio.sleep(max(0.0, due_at - self._monotonic()))
        if make.after is not None:
            if not await self._reached(make.after, make.until, ends_at=ends_at):
                # What it should follow never came so far. It stays unsent, which the checks report.
                return
            apart_at = self._sent_at[make.after] + make.apart_seconds
            await asyncio.sleep(max(0.0, apart_at - self._monotonic()))
        async with self._slots:
            reply = await client.post("/sim/makes", json=self._order(make))
        if reply.status_code != httpx.codes.OK:
            raise DriveFailed(f"make {make.number}: the simulator said {reply.status_code}: {reply.text}")
        answer = reply.json()
        async with self._changed:
            self._sent[make.number] = Sent(
                make_id=answer["make_id"],
                token_sha256=answer["token_sha256"],
                http_status=answer["http_status"],
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

    async def _reached(self, number: int, stage: Stage, *, ends_at: float) -> bool:
        try:
            async with asyncio.timeout(max(0.0, ends_at - self._monotonic())), self._changed:
                await self._changed.wait_for(lambda: self._stage(number) >= stage)
        except TimeoutError:
            return False
        return True

    def _stage(self, number: int) -> Stage:
        sent = self._sent.get(number)
        return Stage.PLANNED if sent is None else self._stages.get(sent.token_sha256, Stage.SENT)

    async def _watch(self, connection: psycopg.AsyncConnection, *, ends_at: float) -> None:
        while self._monotonic() < ends_at:
            self._check()
            rows = await (await connection.execute(STAGES)).fetchall()
            async with self._changed:
                self._stages = {token: _stage(state, attempts) for token, state, attempts in rows}
                self._changed.notify_all()
            received = {
                sent.token_sha256 for sent in self._sent.values() if sent.http_status == RECEIVED_STATUS
            }
            ended = sum(self._stages.get(token) == Stage.CLOSED for token in received)
            self._show(Standing(sent=len(self._sent), received=len(received), ended=ended))
            if len(self._sent) == len(self._plan.makes) and ended == len(received):
                return
            await asyncio.sleep(_WATCH_SECONDS)


def _stage(state: str, attempts: int) -> Stage:
    if state in _CLOSED:
        return Stage.CLOSED
    if state != "received":
        return Stage.SETTLED
    return Stage.TRIED if attempts else Stage.SENT
