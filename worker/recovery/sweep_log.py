"""What sweeps say: one line for all that was done, and one when something begins or ceases to fail.

A line for each event, or each second, is a flood just when somebody has to read it.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import structlog

from worker.metrics import Metrics

_MAX_NAMED: Final = 10

_log = structlog.get_logger(__name__)


class SweepLog:
    """Gathers what was done until `tell`. For one thread."""

    def __init__(self, metrics: Metrics) -> None:
        self._swept = metrics.swept
        self._failing: set[str] = set()
        self._begin()

    def _begin(self) -> None:
        self._done: Counter[str] = Counter()
        self._steps: Counter[str] = Counter()
        self._named: list[UUID] = []
        self._unconfirmed = 0
        self._not_settled: list[UUID] = []
        self._first_error: BaseException | None = None

    def did(
        self, action: str, events: int, *, event_ids: Sequence[UUID] = (), steps: Sequence[str] = ()
    ) -> None:
        """Count what was done, by action; name the first ids, and what direct runs came to."""
        if events:
            self._swept.labels(action=action).inc(events)
            self._done[action] += events
            self._steps.update(steps)
            self._named += event_ids[: _MAX_NAMED - len(self._named)]

    def left_unconfirmed(self, events: int) -> None:
        """Count events that were closed although money moved, and nobody acknowledged that."""
        self._unconfirmed += events

    def did_not_settle(self, event_id: UUID, error: BaseException) -> None:
        """Take note of a direct run that failed."""
        self._not_settled.append(event_id)
        self._first_error = self._first_error or error

    def fails(self, job: str, **details: object) -> None:
        """Say that something fails, once for all times in a row."""
        if job not in self._failing:
            self._failing.add(job)
            _log.warning("sweep_failed", job=job, **details)

    def works(self, job: str) -> None:
        """Say that it does not fail any more, if it did."""
        if job in self._failing:
            self._failing.remove(job)
            _log.info("sweep_works_again", job=job)

    def tell(self) -> None:
        """Write a line for each kind of thing that there is to say."""
        if self._done:
            details: dict[str, object] = dict(self._done)
            if self._steps:
                details["steps"] = dict(self._steps)
            if self._named:
                details["event_ids"] = _texts(self._named)
            _log.info("swept", **details)
        if self._unconfirmed:
            _log.error("events_unconfirmed", events=self._unconfirmed)
        if self._not_settled:
            _log.error(
                "direct_settlement_failed",
                events=len(self._not_settled),
                event_ids=_texts(self._not_settled),
                exc_info=self._first_error,
            )
        self._begin()


def _texts(event_ids: Sequence[UUID]) -> list[str]:
    return [str(event_id) for event_id in event_ids[:_MAX_NAMED]]
