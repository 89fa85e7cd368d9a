"""How much of something each source may do: a bucket of tokens for each, which fills up steadily."""

from collections import OrderedDict
from typing import Final

MAX_SOURCES: Final = 10_000
"""So many are remembered, those that took last; another one has all its tokens."""


class Buckets:
    """A bucket for each source: `burst` tokens when it is full, `per_second` come back. For one thread.

    Nothing is kept of a bucket but when it will be full again (the generic cell rate algorithm).
    """

    def __init__(self, *, per_second: float, burst: int, most: int = MAX_SOURCES) -> None:
        self._seconds_a_token = 1 / per_second
        # As long as an empty bucket takes to be full, but for one token.
        self._room_seconds = (burst - 1) * self._seconds_a_token
        self._most = most
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, source: str, *, at: float) -> bool:
        """Take a token of this source, at a moment in seconds; return whether there was one."""
        full_at = max(self._full_at.get(source, at), at)
        there_is_one = full_at - at <= self._room_seconds
        self._full_at[source] = full_at + self._seconds_a_token if there_is_one else full_at
        self._full_at.move_to_end(source)
        if len(self._full_at) > self._most:
            self._full_at.popitem(last=False)
        return there_is_one
