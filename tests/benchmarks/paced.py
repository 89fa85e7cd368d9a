"""Loads that go out at a pace, on whatever line is free; see load.py."""

import asyncio
import json
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from tests.benchmarks.betcore import STATE_PATH
from tests.benchmarks.kernel_timer import KernelTimer
from tests.benchmarks.line import Line, get_request
from tests.benchmarks.senders import Load, Plan

MAX_LINES: Final = 500
_POLL_SECONDS: Final = 0.005


class PacedLoad(Load):
    """Makes go out on whatever line is free, or on a new one."""

    def __init__(self, plan: Plan, requests: Sequence[bytes]) -> None:
        super().__init__(plan, requests)
        self._idle: list[Line] = []
        self._due: deque[bytes] = deque()
        self._opening: set[asyncio.Task[None]] = set()

    def submit(self, request: bytes) -> None:
        """Send one make now."""
        while self._idle:
            line = self._idle.pop()
            if line.is_open:
                line.send(request)
                return
            self.lines.remove(line)
        self._due.append(request)
        if len(self.lines) + len(self._opening) < MAX_LINES:
            opening = asyncio.get_running_loop().create_task(self._open())
            self._opening.add(opening)
            opening.add_done_callback(self._opened)

    def free(self, line: Line, now: float) -> None:  # noqa: ARG002 -- the interface of all kinds
        """Send what waits for a line."""
        if self._due:
            line.send(self._due.popleft())
        else:
            self._idle.append(line)

    def has_unsent(self) -> bool:
        """Whether makes that were to be sent wait for a line."""
        return bool(self._due or self._opening)

    def take_lines(self) -> None:
        """Begin with all lines idle."""
        self._idle = list(self.lines)

    async def _open(self) -> None:
        line = await Line.open(self.plan.port, self.answered)
        self.lines.append(line)
        self.free(line, 0.0)

    def _opened(self, opening: asyncio.Task[None]) -> None:
        self._opening.discard(opening)
        opening.result()
        self.note_quiet()


class WindowLoad(PacedLoad):
    """So many makes are under way, from their sending to BETCORE's accept."""

    async def send(self) -> None:
        """Top the window up whenever BETCORE is asked, which is often."""
        self.take_lines()
        self._accepts = asyncio.Queue[int]()
        watch = await Line.open(
            self.plan.betcore_port,
            lambda _line, _status, body: self._accepts.put_nowait(json.loads(body)["accepts"]),
        )
        sent, accepts, ask = 0, 0, get_request(STATE_PATH)
        while self.requests and not self._is_time_up():
            for _ in range(min(len(self.requests), accepts + self.plan.window - sent)):
                self.submit(self.requests.popleft())
                sent += 1
            await asyncio.sleep(_POLL_SECONDS)
            watch.send(ask)
            accepts = await self._accepts.get()
        self.result.ended_at = time.monotonic()
        watch.close()

    def _is_time_up(self) -> bool:
        begun_at = self.result.begun_at
        return bool(begun_at) and time.monotonic() >= begun_at + self.plan.seconds


class OpenLoad(PacedLoad):
    """Each make goes out at its own moment; one that is missed is made up for at once."""

    async def send(self) -> None:
        """Fix all moments, and wait until the last make is sent."""
        self.take_lines()
        begun = time.monotonic() + 2 * _POLL_SECONDS
        rate = self.plan.rate_per_second
        self.result.due_ns = [int((begun + number / rate) * 1e9) for number in range(len(self.requests))]
        self._waiting = deque(self.result.due_ns)
        self._all_sent = asyncio.Event()
        self._timer = KernelTimer(self._send_due)
        self._send_due()
        await self._all_sent.wait()
        self._timer.close()
        self.result.ended_at = time.monotonic()

    def _send_due(self) -> None:
        """Send what is due, and have the timer ring for the next one."""
        while self._waiting and self._waiting[0] <= time.monotonic_ns():
            self._waiting.popleft()
            self.submit(self.requests.popleft())
        if self._waiting:
            self._timer.set(self._waiting[0])
        else:
            self._all_sent.set()
