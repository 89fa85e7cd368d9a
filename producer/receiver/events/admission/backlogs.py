"""How long the events of each producer wait to be settled: whoever has sent too many is told to come later.

Each has a list of its own, so each has a wait of its own, and one that waits says nothing of the others.
"""

import asyncio
from collections.abc import Callable

from producer.copies.event import ReceivedEvent
from producer.receiver.backlog import LOOK_SECONDS, Backlog


class Backlogs:
    """A backlog for each producer some of whose events wait; `make` makes one's. For one event loop."""

    def __init__(self, make: Callable[[str], Backlog]) -> None:
        self._make = make
        self._of: dict[str, Backlog] = {}

    def is_too_long(self, producer: str) -> bool:
        """Whether a new event of this producer would wait too long to be credited in time."""
        backlog = self._of.get(producer)
        return backlog is not None and backlog.is_too_long()

    def taken(self, event: ReceivedEvent) -> None:
        """Remember an event that was accepted."""
        backlog = self._of.get(event.producer)
        if backlog is None:
            backlog = self._of[event.producer] = self._make(event.producer)
        backlog.taken(event)

    async def watch(self) -> None:
        """Look again and again until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Ask once for each, one after the other: they are few, and PostgreSQL has others to answer."""
        for producer, backlog in list(self._of.items()):
            await backlog.look()
            if backlog.is_empty:
                # Whatever pace was seen is of then: the next one to wait is looked at anew.
                del self._of[producer]
