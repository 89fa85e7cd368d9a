"""What all kinds of load share, and the closed one; see load.py."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from producer.app import MAKE_PATH
from tests.benchmarks.errors import BenchmarkFailed
from tests.benchmarks.line import LOST, Line

_DRAIN_SECONDS: Final = 40.0
_OK: Final = "200"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to send: the tokens of a file, a line each; the first `warm_up` of them are not timed.

    `betcore_port` and `window` are for *window*, `rate_per_second` is for *open*. *closed* and *window* end
    after `seconds`, or earlier with the last token; *open* sends all tokens.
    """

    kind: Literal["closed", "window", "open"]
    port: int
    tokens_path: str
    connections: int
    warm_up: int
    path: str = MAKE_PATH
    seconds: float = 0.0
    rate_per_second: float = 0.0
    betcore_port: int = 0
    window: int = 0


@dataclass(slots=True, kw_only=True)
class Result:
    """What came of it: `statuses` of all replies, the others of what was timed; times are monotonic.

    `accepted` are replies of 200, `latencies_ms` run from sending to reply, `due_ns` (*open*) are the moments
    that were fixed, the warm-up's first. `refused_at` are the moments of replies other than 200, warm-up
    included. `cpu_seconds` is what all of the sending cost this process.
    """

    statuses: dict[str, int] = field(default_factory=dict)
    accepted: int = 0
    begun_at: float = 0.0
    ended_at: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    due_ns: list[int] = field(default_factory=list)
    refused_at: list[float] = field(default_factory=list)
    cpu_seconds: float = 0.0


class Load:
    """What the kinds share: lines, and counting what comes back."""

    def __init__(self, plan: Plan, requests: Sequence[bytes]) -> None:
        self.plan = plan
        self.result = Result()
        self.requests = deque(requests)
        self.lines: list[Line] = []
        self.answers = 0

    async def run(self) -> Result:
        """Send it all, wait for the last reply, and return what came."""
        for _ in range(self.plan.connections):
            self.lines.append(await Line.open(self.plan.port, self.answered))
        self._quiet = asyncio.Event()
        self._lost = asyncio.get_running_loop().create_future()
        sending = asyncio.create_task(self.send())
        await asyncio.wait({sending, self._lost}, return_when=asyncio.FIRST_COMPLETED)
        if self._lost.done():
            raise BenchmarkFailed("a connection was lost with a make under way")
        await sending
        self.note_quiet()
        async with asyncio.timeout(_DRAIN_SECONDS):
            await self._quiet.wait()
        for line in self.lines:
            line.close()
        return self.result

    async def send(self) -> None:
        """Send the makes; return when nothing new is to be sent."""
        raise NotImplementedError

    def answered(self, line: Line, status: str, _body: bytes) -> None:
        """Count a reply."""
        now = time.monotonic()
        self.answers += 1
        result = self.result
        result.statuses[status] = result.statuses.get(status, 0) + 1
        if status != _OK:
            result.refused_at.append(now)
        if self.answers == self.plan.warm_up:
            result.begun_at = now
            self.begun(now)
        elif result.begun_at and not result.ended_at:
            result.accepted += status == _OK
            result.latencies_ms.append((now - line.sent_at) * 1_000)
        if status != LOST:
            self.free(line, now)
        elif not self._lost.done():
            self._lost.set_result(None)
        self.note_quiet()

    def note_quiet(self) -> None:
        """Take note when all is sent and answered."""
        if self.result.ended_at and not any(line.is_busy for line in self.lines) and not self.has_unsent():
            self._quiet.set()

    def has_unsent(self) -> bool:
        """Whether makes that were to be sent wait for a line."""
        return False

    def begun(self, now: float) -> None:
        """Take note that the clock runs."""

    def free(self, line: Line, now: float) -> None:
        """Use a line that has become free."""
        raise NotImplementedError


class ClosedLoad(Load):
    """Each line sends as soon as it has its answer."""

    _ends_at = float("inf")

    async def send(self) -> None:
        """Start all lines and wait for the end."""
        self._over = asyncio.Event()
        for line in self.lines:
            line.send(self.requests.popleft())
        await self._over.wait()

    def begun(self, now: float) -> None:
        """Set the end."""
        self._ends_at = now + self.plan.seconds

    def free(self, line: Line, now: float) -> None:
        """Send the next one, or end."""
        if now < self._ends_at and self.requests:
            line.send(self.requests.popleft())
        elif not self.result.ended_at:
            self.result.ended_at = now
            self._over.set()
