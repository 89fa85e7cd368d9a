"""How long a worker may count on what it took. Decision 20."""

import time
from typing import Final

from redis.exceptions import ConnectionError  # noqa: A004 - the one that kombu knows

# Of the time since the machine was started, also that which it spent suspended: then leases end, too.
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class LeaseLost(ConnectionError):
    """The worker's lease has ended: a loss of the connection, to Celery, which makes a new one."""


def seconds_running() -> float:
    """Return the seconds since the machine was started."""
    return time.clock_gettime(_CLOCK)


class Lease:
    """How long a worker may count on what it took. Once ended it stays so. Safe for use by many threads."""

    def __init__(self) -> None:
        # Nothing is held before the first reply.
        self._ends_at: float | None = None
        self._has_ended = False

    def extend(self, *, sent_at: float, seconds: float) -> None:
        """Take note that Redis, asked at `sent_at`, grants so many seconds from then on."""
        # Replies can be read in another order than that of their questions.
        self._ends_at = max(self._ends_at or 0.0, sent_at + seconds)

    def is_kept(self) -> bool:
        """Whether nobody else can have the worker's entries by now."""
        if self._ends_at is not None and seconds_running() >= self._ends_at:
            self._has_ended = True
        return not self._has_ended

    def end(self) -> None:
        """End it: Redis says so, or it is not known what was taken."""
        self._has_ended = True
