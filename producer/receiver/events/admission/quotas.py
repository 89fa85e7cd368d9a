"""How many events each producer may hand in: a bucket of tokens for each, which fills up steadily."""

from typing import Final

BURST_SECONDS: Final = 2.0
"""A bucket holds what comes back in this time, but never less than one full request."""


class Quotas:
    """A bucket for each producer; many tokens are taken at once, or none. For one thread.

    Nothing is kept of a bucket but when it will be full again (the generic cell rate algorithm), and
    producers are few: their keys are known.
    """

    def __init__(self, *, least_burst: int) -> None:
        self._least_burst = least_burst
        self._full_at: dict[str, float] = {}

    def wait_seconds(self, producer: str, *, per_second: float, tokens: int, at: float) -> float:
        """Return how long it takes until so many tokens are there; 0 where they are."""
        burst_seconds = max(BURST_SECONDS, self._least_burst / per_second)
        full_at = max(self._full_at.get(producer, at), at)
        return max(0.0, full_at + tokens / per_second - burst_seconds - at)

    def take(self, producer: str, *, per_second: float, tokens: int, at: float) -> float:
        """Take them, at a moment in seconds; or return how long it takes until they are there."""
        wait_seconds = self.wait_seconds(producer, per_second=per_second, tokens=tokens, at=at)
        if not wait_seconds:
            self._full_at[producer] = max(self._full_at.get(producer, at), at) + tokens / per_second
        return wait_seconds
