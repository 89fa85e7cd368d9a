"""What is on record of events, asked for with few connections, so that receipts find theirs."""

import asyncio
from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from producer.copies.errors import CopyFailed
from producer.copies.receipts.connection import EventState


class StateStore(Protocol):
    """What knows how events stand; `Receipts` does."""

    async def states(
        self, event_ids: Sequence[UUID], /, *, timeout_seconds: float, producer: str | None = None
    ) -> Sequence[EventState]:
        """Return how those stand that are on record; raise CopyFailed where that cannot be known."""


class Record:
    """Asks how events stand, `at_once` questions at a time; the wait for a turn is part of the time."""

    def __init__(self, store: StateStore, *, at_once: int, timeout_seconds: float) -> None:
        self._store = store
        self._timeout_seconds = timeout_seconds
        self._turns = asyncio.Semaphore(at_once)

    async def state(self, event_id: UUID, *, producer: str) -> EventState | None:
        """Return how an event of this producer stands, None: it is not on record. Raises CopyFailed."""
        try:
            found = await self._ask([event_id], self._timeout_seconds, producer)
        except TimeoutError as error:
            raise CopyFailed("too many ask how events stand") from error
        return found[0] if found else None

    async def known(self, event_ids: Sequence[UUID]) -> frozenset[UUID] | None:
        """Return which of these are on record, whoever handed them in; None where that cannot be known."""
        try:
            # It only says how an event is called: nothing is held up for it.
            found = await self._ask(event_ids, self._timeout_seconds / 4, None)
        except (CopyFailed, TimeoutError):
            return None
        return frozenset(each.event_id for each in found)

    async def _ask(
        self, event_ids: Sequence[UUID], seconds: float, producer: str | None
    ) -> Sequence[EventState]:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        async with asyncio.timeout_at(until):
            await self._turns.acquire()
        try:
            left = max(0.001, until - loop.time())
            return await self._store.states(event_ids, timeout_seconds=left, producer=producer)
        finally:
            self._turns.release()
