"""Attacks by whole requests: as many a second as they are paced to, or as fast as they are answered."""

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Final, cast

from tests.siege.senders.plans import AttackOrders, Tally

_TICK_SECONDS: Final = 0.005
_BURST_SECONDS: Final = 2.0
_OPEN_SECONDS: Final = 2.0
# Not all in one breath: the listener's queue is no part of what is attacked.
_OPENS_AT_ONCE: Final = 50
# Long enough for a request to be read and verified, and shorter than any wait for its answer.
_HANG_UP_SECONDS: Final = 0.02
_STATUS: Final = re.compile(rb"HTTP/1\.1 (\d{3})")
_STATUS_BYTES: Final = 12


class FloodLine(asyncio.Protocol):
    """One connection; of what comes back only the status lines are read."""

    def __init__(
        self, tally: Tally, *, free: Callable[["FloodLine"], None], lost: Callable[["FloodLine"], None]
    ) -> None:
        self.under_way = 0
        self.is_open = True
        self.was_used = False
        self._tally = tally
        self._free = free
        self._lost = lost
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def send(self, requests: Sequence[bytes]) -> None:
        """Send requests in one piece."""
        self.was_used = True
        piece = b"".join(requests)
        self.under_way += len(requests)
        self._tally.requests += len(requests)
        self._tally.bytes_sent += len(piece)
        self._transport.write(piece)

    def data_received(self, data: bytes) -> None:
        """Count what was answered."""
        text = self._tail + data
        # A status line that is cut in two is found with the next piece, and a whole one is not found twice.
        self._tail = text[1 - _STATUS_BYTES :]
        statuses = _STATUS.findall(text)
        for status in statuses:
            self._tally.answered(status.decode("ascii"))
        self.under_way -= len(statuses)
        if statuses and self.under_way <= 0:
            self.under_way = 0
            self._free(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- the signature of asyncio
        """Take note."""
        self.is_open = False
        self._tally.lost += 1
        self._lost(self)

    def drop(self) -> None:
        """Hang up."""
        self._transport.abort()


class Flood:
    """Sends on at most `connections`, each with one batch under way; new ones are opened when needed.

    What no connection is free for is not made up for later: the flood never queues, here or there.
    """

    def __init__(self, orders: AttackOrders, requests: Sequence[bytes], tally: Tally) -> None:
        self.orders = orders
        self.tally = tally
        self._requests = cycle(requests)
        self._sources = cycle(orders.sources)
        self._idle: deque[FloodLine] = deque()
        self._lines: set[FloodLine] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._is_over = False

    async def run(self, ends_at: float) -> None:
        """Flood until then."""
        try:
            if self.orders.kind == "burst":
                await self._bursts(ends_at)
            elif self.orders.per_second:
                await self._paced(ends_at)
            else:
                await self._flat_out(ends_at)
        finally:
            self._is_over = True
            for task in self._opening:
                task.cancel()
            for line in list(self._lines):
                line.drop()

    async def _paced(self, ends_at: float) -> None:
        begun, done = time.monotonic(), 0
        batches_per_second = self.orders.per_second / self.orders.batch
        while (now := time.monotonic()) < ends_at:
            due = int((now - begun) * batches_per_second)
            for _ in range(due - done):
                self._send_one()
            done = due
            await asyncio.sleep(_TICK_SECONDS)

    async def _flat_out(self, ends_at: float) -> None:
        while (now := time.monotonic()) < ends_at:
            self._open_more()
            await asyncio.sleep(min(self.orders.pause_seconds, max(0.0, ends_at - now)))

    async def _bursts(self, ends_at: float) -> None:
        while (now := time.monotonic()) < ends_at:
            while self._room() and time.monotonic() < ends_at:
                self._open_more()
                await asyncio.sleep(_TICK_SECONDS)
            idle = list(self._idle)
            self._idle.clear()
            for line in idle:
                line.send(self._batch())
            await asyncio.sleep(max(0.0, min(now + _BURST_SECONDS, ends_at) - time.monotonic()))

    def _send_one(self) -> None:
        if self.orders.hangs_up and self._room():
            self._open_one()
        elif self._idle:
            # The one that has been idle for longest, so that all take part.
            self._idle.popleft().send(self._batch())
        else:
            self.tally.held_back += self.orders.batch
            self._open_more(most=1)

    def _batch(self) -> list[bytes]:
        return [next(self._requests) for _ in range(self.orders.batch)]

    def _room(self) -> int:
        return self.orders.connections - len(self._lines) - len(self._opening)

    def _open_more(self, *, most: int = _OPENS_AT_ONCE) -> None:
        for _ in range(min(self._room(), most - len(self._opening))):
            self._open_one()

    def _open_one(self) -> None:
        task = asyncio.get_running_loop().create_task(self._open(next(self._sources)))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, source: str) -> None:
        orders, loop = self.orders, asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                _, line = await loop.create_connection(
                    lambda: FloodLine(self.tally, free=self._free, lost=self._lost),
                    orders.host,
                    orders.port,
                    local_addr=(source, 0),
                )
        except (OSError, TimeoutError):
            self.tally.not_opened += 1
            return
        self.tally.opened += 1
        self._lines.add(line)
        self._free(line)

    def _free(self, line: FloodLine) -> None:
        if self._is_over or not line.is_open:
            return
        if self.orders.hangs_up:
            if line.was_used:
                return
            line.send(self._batch())
            asyncio.get_running_loop().call_later(_HANG_UP_SECONDS, line.drop)
        elif self.orders.kind == "flood" and not self.orders.per_second:
            line.send(self._batch())
        else:
            self._idle.append(line)

    def _lost(self, line: FloodLine) -> None:
        self._lines.discard(line)
        if line in self._idle:
            self._idle.remove(line)
