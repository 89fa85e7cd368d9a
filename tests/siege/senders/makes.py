"""What both kinds of honest senders share: connections, records, patience."""

import asyncio
import math
import time
from collections.abc import Iterator
from typing import Final

from tests.benchmarks.line import LOST, Line
from tests.siege.errors import TokensUsedUp
from tests.siege.senders.plans import HonestOrders

PATIENCE_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.05

Record = tuple[float, int, float]
"""Of one make: the moment in seconds since the beginning, the HTTP status (0: none), the milliseconds."""


class HonestLine(Line):
    """A connection of somebody who lets it go when it is closed, or when an answer takes too long."""

    number = 0

    def drop(self) -> None:
        """Hang up on a receiver that does not answer."""
        self.is_busy = False
        self._transport.abort()


class Honest:
    """What both kinds share: connections, records, patience."""

    def __init__(
        self,
        orders: HonestOrders,
        requests: Iterator[bytes],
        *,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self.orders = orders
        self.patience_seconds = patience_seconds
        self.records: list[Record] = []
        self.errors: list[BaseException] = []
        self.begun = 0.0
        self._requests = requests
        self._lines: set[HonestLine] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, begun: float) -> list[Record]:
        """Send it all, and return what came of it."""
        self.begun = begun
        await asyncio.sleep(max(0.0, begun - time.monotonic()))
        patience = asyncio.create_task(self._watch())
        try:
            await self.send()
            await self._end()
        finally:
            for task in (patience, *self._tasks):
                task.cancel()
            for line in self._lines:
                line.close()
        return self.records

    async def send(self) -> None:
        """Send until the time is over."""
        raise NotImplementedError

    def answered(self, line: Line, status: str, _body: bytes) -> None:
        """Note a reply, or that there will be none."""
        raise NotImplementedError

    def gave_up(self, line: HonestLine) -> None:
        """Take note of a make that was not answered for too long; its line is closed."""
        raise NotImplementedError

    def since(self, line: HonestLine) -> float:
        """Return the moment from which the make on a line is waited for."""
        return line.sent_at

    def next_request(self) -> bytes:
        """Return the next make; raises TokensUsedUp."""
        for request in self._requests:
            return request
        error = TokensUsedUp()
        # The loop only logs what its callbacks raise.
        self.errors.append(error)
        raise error

    def note(self, at: float, status: str, took: float) -> None:
        """Keep a record."""
        code = 0 if status == LOST else int(status)
        self.records.append((round(at - self.begun, 4), code, round(took * 1_000, 2)))

    def start(self, task: asyncio.Task[None]) -> None:
        """Keep a task until it is done."""
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def open_line(self) -> HonestLine:
        """Connect; raises OSError, TimeoutError."""
        async with asyncio.timeout(self.patience_seconds):
            line = await HonestLine.open(self.orders.port, self.answered)
        assert isinstance(line, HonestLine)
        self._lines = {each for each in self._lines if each.is_open} | {line}
        return line

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.errors.append(error)

    async def _end(self) -> None:
        """Wait for the last answers, as long as there may be some."""
        for _ in range(math.ceil(2 * self.patience_seconds / _LOOK_SECONDS) + 1):
            if not self._tasks and not any(line.is_busy for line in self._lines):
                return
            await asyncio.sleep(_LOOK_SECONDS)

    async def _watch(self) -> None:
        while True:
            now = time.monotonic()
            for line in [each for each in self._lines if each.is_busy]:
                if now - self.since(line) > self.patience_seconds:
                    line.drop()
                    self.gave_up(line)
            await asyncio.sleep(_LOOK_SECONDS)
