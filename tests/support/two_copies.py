"""Two stores and the makes that are copied to them, by a virtual clock."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from prometheus_client import CollectorRegistry

from producer.receiver.metrics import MESSAGE, RECEIPT, ReceiverMetrics
from producer.receiver.two_copies import TwoCopies
from tests.support import virtual_time
from tests.support.copies import TIMEOUT_SECONDS, Store, event

CUTOFF_SECONDS = 25.0
# Many times what a store takes, a small part of what a make may take.
AT_ONCE_SECONDS = 0.01
# Longer than any pause between two looks for a server, and than the look itself.
UNTIL_IT_IS_FOUND_SECONDS = 6.0
KINDS = [RECEIPT, MESSAGE]


class Scene:
    """Two stores, and makes that keep their own time."""

    def __init__(self) -> None:
        self.stores = {RECEIPT: Store(), MESSAGE: Store()}
        self.metrics = ReceiverMetrics(CollectorRegistry())
        self.copies = TwoCopies(
            receipts=self.stores[RECEIPT],
            messages=self.stores[MESSAGE],
            metrics=self.metrics,
            timeout_seconds=TIMEOUT_SECONDS,
            cutoff_seconds=CUTOFF_SECONDS,
            now_ms=lambda: int(asyncio.get_running_loop().time() * 1000),
        )

    async def make(self, number: int) -> tuple[bool, float]:
        """Make an event's copies; return whether one is certain, and how long that took."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        is_certain = await self.copies.make(event(number, received_at_ms=int(started * 1000)))
        return is_certain, loop.time() - started

    async def is_quick(self, number: int) -> bool:
        """Make an event's copies; return whether one is certain at once."""
        is_certain, took_seconds = await self.make(number)
        return is_certain and took_seconds < AT_ONCE_SECONDS

    async def lose(self, kind: str) -> None:
        """Have a server go silent, and one make find it out."""
        self.stores[kind].is_there = False
        is_certain, took_seconds = await self.make(-1)
        assert is_certain
        assert took_seconds == pytest.approx(TIMEOUT_SECONDS)
        assert self.copies.is_away(kind)

    def metric(self, name: str, **labels: str) -> float:
        """Return a sample, 0 where there is none yet."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


def scene(work: Callable[[Scene], Awaitable[None]]) -> None:
    async def run() -> None:
        made = Scene()
        await work(made)
        await made.copies.close(timeout_seconds=TIMEOUT_SECONDS + 2)

    virtual_time.run(run())


def other(kind: str) -> str:
    return MESSAGE if kind == RECEIPT else RECEIPT
