"""Log lines of what may happen to every event: the first at once, and then one a second that says how many.

What is counted exactly is a metric; a line is there to be read.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

EVERY_SECONDS: Final = 1.0
MAX_NAMED: Final = 10
# Kinds of lines; a kind is a reason of an error's, and of these there are few.
_MAX_KINDS: Final = 100


class LogMethod(Protocol):
    """A method of a structlog logger, such as `warning`."""

    def __call__(self, event: str, **details: Any) -> Any:  # noqa: ANN401 - structlog's own
        """Write a line."""


@dataclass(slots=True)
class _Kind:
    next_at: float
    events: int = 0
    named: list[str] = field(default_factory=list)


class LogTally:
    """Writes at most one line a second of each kind. For one thread.

    `events` of a line counts those that had none since the last one, and itself; the details are its own. The
    last ones of a flood are told with the next one that comes.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._kinds: dict[str, _Kind] = {}

    def tell(
        self, log: LogMethod, event: str, *, per: str, event_id: str | None = None, **details: object
    ) -> None:
        """Write the line, or count it; `per` is its kind, and the first events of it are named."""
        now = self._monotonic()
        tally = self._kinds.get(per)
        if tally is None:
            if len(self._kinds) >= _MAX_KINDS:
                self._kinds.clear()
            tally = self._kinds[per] = _Kind(next_at=now)
        tally.events += 1
        if event_id is not None and len(tally.named) < MAX_NAMED:
            tally.named.append(event_id)
        if now < tally.next_at:
            return
        if tally.named:
            details["event_ids"] = tally.named
        self._kinds[per] = _Kind(next_at=now + EVERY_SECONDS)
        log(event, events=tally.events, **details)
