"""How many calls go to BETCORE at a time: one that is slow must not take all threads of a worker.

Decision 16.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import Final

from worker.domain.deadline import Deadline

# A call that took longer than this was not prompt, and no wait for the end of another one is longer.
PROMPT_SECONDS: Final = 0.5
# Before a slow BETCORE a thread is worth more for fresh credits than for waiting.
SLOW_WAIT_SECONDS: Final = 0.1


class Slots:
    """At most `count` calls at a time; safe for use by many threads.

    While BETCORE is prompt, whoever finds all slots taken waits for the next one, which is soon free. An
    event that went back to its queue instead would draw lots against fresh ones, attempt after attempt.
    """

    def __init__(self, count: int, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._free = BoundedSemaphore(count)
        self._monotonic = monotonic
        self._is_prompt = True

    def wait_seconds(self, deadline: Deadline) -> float:
        """Return how long to wait for a slot: never more than half of the time that there is for the call."""
        longest = PROMPT_SECONDS if self._is_prompt else SLOW_WAIT_SECONDS
        return min(longest, deadline.remaining_seconds(self._monotonic()) / 2)

    @contextmanager
    def take(self, deadline: Deadline) -> Iterator[bool]:
        """Hold a slot inside the block, which is one call; False where none became free."""
        if not self._free.acquire(timeout=self.wait_seconds(deadline)):
            yield False
            return
        begun_at = self._monotonic()
        try:
            yield True
        finally:
            self._is_prompt = self._monotonic() - begun_at <= PROMPT_SECONDS
            self._free.release()
