"""How much of something each source may do: a bucket of tokens for each, which fills up steadily."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

MAX_SOURCES: Final = 10_000
"""So many are remembered, those that took last; another one has all its tokens."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A full bucket has `burst` tokens, and `per_second` come back."""

    per_second: float
    burst: float


class Buckets:
    """A bucket for each source; many tokens are taken at once, or none. For one thread.

    Nothing is kept of a bucket but when it will be full again (the generic cell rate algorithm).
    """

    def __init__(self, *, most: int = MAX_SOURCES) -> None:
        self._most = most
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def wait_seconds(self, source: str, rate: Rate, *, at: float, tokens: int = 1) -> float:
        """Return how long it takes, from a moment in seconds, until so many tokens are there; 0: they are."""
        until_full = max(self._full_at.get(source, at) - at, 0.0)
        return max(0.0, until_full - (rate.burst - tokens) / rate.per_second)

    def take(self, source: str, rate: Rate, *, at: float, tokens: int = 1) -> float:
        """Take them where they are there; else take none, and return how long it takes until they are."""
        wait_seconds = self.wait_seconds(source, rate, at=at, tokens=tokens)
        full_at = max(self._full_at.get(source, at), at)
        self._full_at[source] = full_at if wait_seconds else full_at + tokens / rate.per_second
        self._full_at.move_to_end(source)
        if len(self._full_at) > self._most:
            self._full_at.popitem(last=False)
        return wait_seconds
