"""Time left, and when to try again. Pure: clocks and random numbers are arguments."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

# An attempt with less time than this would only be cut off half-way.
LEAST_ATTEMPT_SECONDS: Final = 0.25

# The last attempt leaves at least this long before the end: what is on its way there (a queue, a busy worker)
# must not eat the attempt itself.
LAST_ATTEMPT_SECONDS: Final = 1.5

# Beyond this exponent every backoff is at its cap; 2**retries itself would grow without limit.
_MAX_DOUBLINGS: Final = 32


@dataclass(frozen=True, slots=True)
class Deadline:
    """An absolute moment of one clock, in that clock's seconds (in this program the monotonic one)."""

    at_seconds: float

    def remaining_seconds(self, now_seconds: float) -> float:
        """Return the time left, never negative."""
        return max(0.0, self.at_seconds - now_seconds)

    def leaves_an_attempt(self, now_seconds: float) -> bool:
        """Say whether one more attempt could still end before the deadline."""
        return self.remaining_seconds(now_seconds) >= LEAST_ATTEMPT_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential backoff with full jitter: uniform between 0 and `base` doubled per retry, up to `cap`.

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """

    base_seconds: float
    cap_seconds: float

    def delay_seconds(self, *, retries: int, random: Callable[[], float]) -> float:
        """Return the pause before the next attempt, after `retries` retries; `random` yields [0, 1)."""
        ceiling = min(self.cap_seconds, self.base_seconds * 2.0 ** min(retries, _MAX_DOUBLINGS))
        return ceiling * random()

    def delay_within_seconds(
        self,
        *,
        retries: int,
        remaining_seconds: float,
        random: Callable[[], float],
        least_seconds: float = 0.0,
    ) -> float | None:
        """Return the pause that still leaves time for an attempt, or None where nothing does.

        A pause that would outlast the time left is shortened, so that the last attempt leaves with a margin;
        within that margin there is one more chance, at once. `least_seconds`: what the peer asked for.
        """
        if remaining_seconds <= LEAST_ATTEMPT_SECONDS:
            return None
        delay_seconds = max(least_seconds, self.delay_seconds(retries=retries, random=random))
        return max(0.0, min(delay_seconds, remaining_seconds - LAST_ATTEMPT_SECONDS))
