"""Whether anybody empties the queues: one that nobody empties is no way for an event.

A queue is long, or nobody can take from it: by itself it looks the same. What tells them apart is what the
service knows of its own. Decision 32.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from worker.recovery.broker import Broker

# Above what a busy event loop takes to come round, and what a consumer takes to connect anew.
ABLE_SECONDS: Final = 1.0
# With it, and the second between two looks, a queue is given up 4 s after the last entry was taken.
STILL_SECONDS: Final = 2.0


class Consumption:
    """Whether this process can take from the queue: its consumer says so again and again.

    No word of Redis is asked for it. Safe for use by many threads.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._able_at = monotonic()

    def is_able(self) -> bool:
        """Say whether it was able to within the last second."""
        return self._monotonic() - self._able_at < ABLE_SECONDS

    def able(self) -> None:
        """Take note that it is able to."""
        self._able_at = self._monotonic()


@dataclass(frozen=True, slots=True)
class _Seen:
    entry: bytes
    since: float


class QueueWatch:
    """Looks at the heads of queues, for one thread; only while this process cannot take from them itself.

    Then another one may: what was seen at a head is gone some seconds later. What anybody puts onto a queue,
    before it or behind it, changes nothing about that.
    """

    def __init__(
        self,
        broker: Broker,
        consumption: Consumption,
        *,
        queues: Sequence[str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.broker = broker
        self._consumption = consumption
        self._queues = tuple(queues)
        self._monotonic = monotonic
        self._seen: dict[str, _Seen] = {}

    def nobody_empties(self) -> bool:
        """Say whether entries lie there for some seconds and nobody takes them; raises BrokerUnavailable."""
        if self._consumption.is_able():
            self._seen.clear()
            return False
        now = self._monotonic()
        for queue in self._queues:
            seen = self._seen.get(queue)
            if seen is None or not self.broker.still_has(queue, seen.entry):
                self._look_at(queue, now)
        return any(now - seen.since >= STILL_SECONDS for seen in self._seen.values())

    def _look_at(self, queue: str, now: float) -> None:
        head = self.broker.head_of(queue)
        if head is None:
            self._seen.pop(queue, None)
        else:
            self._seen[queue] = _Seen(head, now)
