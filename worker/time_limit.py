"""The time that a thread has for what it waits for: many short waits must not outlast it.

BETCORE (`worker.http`) and PostgreSQL (`worker.ledger.database`) are both asked within it. Decision 5.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import local

from worker.domain.deadline import Deadline

_ends_by = local()


@contextmanager
def ends_by(deadline: Deadline) -> Iterator[None]:
    """Bound every wait of this thread, inside the block, by `deadline` (monotonic).

    Blocks nest: the inner one can shorten the time, never lengthen it.
    """
    outer: Deadline | None = getattr(_ends_by, "deadline", None)
    _ends_by.deadline = deadline if outer is None or deadline.at_seconds < outer.at_seconds else outer
    try:
        yield
    finally:
        _ends_by.deadline = outer


def seconds_left() -> float | None:
    """Return the time that this thread has left, never negative; None where nothing bounds it."""
    deadline: Deadline | None = getattr(_ends_by, "deadline", None)
    return None if deadline is None else deadline.remaining_seconds(time.monotonic())


def cut(timeout_seconds: float | None) -> float | None:
    """Cut one operation's timeout to the time that this thread has left; raise TimeoutError where none is."""
    left_seconds = seconds_left()
    if left_seconds is None:
        return timeout_seconds
    if left_seconds <= 0:
        raise TimeoutError("the time for this exchange is over")
    return left_seconds if timeout_seconds is None else min(timeout_seconds, left_seconds)
