"""How soon a consumer connects again that loses one connection after the other. Pure."""

import math
from typing import Final

# A connection that lasted for so long was a good one.
CALM_SECONDS: Final = 10.0
LONGEST_PAUSE_SECONDS: Final = 2.0
_FIRST_PAUSE_SECONDS: Final = 0.1
_MOST_DOUBLINGS: Final = 16


class Reconnects:
    """Counts losses that follow each other. Times are seconds of one clock."""

    def __init__(self) -> None:
        self._losses = 0
        self._last_at = -math.inf

    def pause_seconds(self, now: float) -> float:
        """Take note of a loss, and return how long to wait: not at all after the first one, and then longer.

        A server that lets one connect and then refuses what is asked of it would be asked, and told of,
        without end.
        """
        self._losses = self._losses + 1 if now - self._last_at < CALM_SECONDS else 0
        if not self._losses:
            self._last_at = now
            return 0.0
        pause = min(LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** min(self._losses, _MOST_DOUBLINGS))
        self._last_at = now + pause
        return pause
