"""How long a new event would wait in the queue, and whether that is too long to take it.

The queue is first in, first out, and its head says when it was received. How far the heads have come in
the last seconds is the pace at which the workers work through received time: half a second per second
means that makes arrive twice as fast as they are settled. The head's age divided by that pace is how long
the youngest event will wait. It needs no counters and no word from the workers, however many there are.
Decision 10.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import structlog
from redis.exceptions import RedisError

from producer.client.contract import QUEUE
from producer.client.envelope import received_at_ms_of

if TYPE_CHECKING:
    from redis.asyncio import Redis

LOOK_SECONDS: Final = 0.25
# Short, so that the calm before a burst does not flatter the pace within it.
WINDOW_SECONDS: Final = 1.5
# A head younger than this share of the longest wait is no backlog, whatever the pace.
_LEAST_AGE_SHARE: Final = 0.1

_STANDSTILL_LOOKS: Final = 5

_log = structlog.get_logger(__name__)


class Estimate:
    """The expected wait, from looks at the head of the queue. Times are seconds of one clock. Pure.

    A head that is younger than `least_age_seconds` is taken for no wait at all.
    """

    def __init__(self, *, least_age_seconds: float) -> None:
        self._least_age_seconds = least_age_seconds
        self._looks: deque[tuple[float, float]] = deque(maxlen=int(WINDOW_SECONDS / LOOK_SECONDS) + 1)

    def look(self, *, now: float, head_received_at: float | None) -> None:
        """Take note of the queue's head; None: the queue is empty."""
        self._looks.append((now, now if head_received_at is None else min(head_received_at, now)))

    def forget(self) -> None:
        """Drop what was seen: the queue cannot be looked at."""
        self._looks.clear()

    @property
    def wait_seconds(self) -> float:
        """How long an event that arrives now is expected to wait."""
        if len(self._looks) < 2:  # noqa: PLR2004 - a pace needs two looks
            return 0.0
        first_at, first_reached = self._looks[0]
        last_at, last_reached = self._looks[-1]
        age = last_at - last_reached
        if age < self._least_age_seconds:
            return 0.0
        pace = (last_reached - first_reached) / (last_at - first_at)
        # A head that does not move is not slow: the workers are away, and the pace that they will come
        # back with is not known.
        _, shortly_before = self._looks[max(-_STANDSTILL_LOOKS, -len(self._looks))]
        return age / min(pace, 1.0) if pace > 0 and last_reached > shortly_before else age


class Backlog:
    """Looks at the queue in the background; `is_too_long` answers at once from the last looks.

    While Redis cannot be asked, nothing is refused: the receipts carry the events then.
    """

    def __init__(
        self,
        client: "Redis",
        *,
        longest_wait_seconds: float,
        timeout_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._longest_wait_seconds = longest_wait_seconds
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._estimate = Estimate(least_age_seconds=_LEAST_AGE_SHARE * longest_wait_seconds)

    @property
    def wait_seconds(self) -> float:
        """How long an event that arrives now is expected to wait in the queue."""
        return self._estimate.wait_seconds

    def is_too_long(self) -> bool:
        """Whether a new event would wait too long to be credited in time."""
        return self.wait_seconds > self._longest_wait_seconds

    async def watch(self) -> None:
        """Look at the queue until cancelled."""
        while True:
            await self._look()
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                head = await self._client.lindex(QUEUE, -1)
        except (RedisError, OSError, TimeoutError) as error:
            self._estimate.forget()
            _log.warning("backlog_unknown", error=f"{type(error).__name__}: {error}")
            return
        if head is None:
            self._estimate.look(now=self._clock(), head_received_at=None)
        elif (received_at_ms := received_at_ms_of(head)) is not None:
            self._estimate.look(now=self._clock(), head_received_at=received_at_ms / 1000)
