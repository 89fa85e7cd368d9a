"""Whether a worker would settle an event now, part by part."""

import threading
from collections.abc import Callable, Mapping
from typing import Final

OK: Final = "ok"
STARTING: Final = "starting"
STOPPING: Final = "stopping"
FRESH_SECONDS: Final = 1.0
"""For how long an answer is given again: however often somebody asks, the parts are asked once."""


class Readiness:
    """Asks each part, which answers "ok" or what is wrong with it, in bounded time. Safe for many threads.

    `stage` is a part of its own: what the process says of itself.
    """

    def __init__(self, parts: Mapping[str, Callable[[], str]], *, monotonic: Callable[[], float]) -> None:
        self.stage = STARTING
        self._parts = parts
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._answers: dict[str, str] = {}

    def look(self) -> dict[str, str]:
        """Return what each part says; the worker is ready if all are "ok"."""
        with self._lock:
            if self._monotonic() - self._asked_at >= FRESH_SECONDS:
                self._answers = {name: ask() for name, ask in self._parts.items()}
                self._asked_at = self._monotonic()
            return {"worker": self.stage, **self._answers}
