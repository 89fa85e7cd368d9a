"""One event whose accept is under way, and the accepts that were sent for it. For one event loop."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from worker.betcore.accept import AcceptReply
from worker.domain.accepts import SentAccept, SentAccepts, in_short
from worker.domain.settlement import Step
from worker.handling.attempt import Answer

Then = Callable[[Step], None]
Sending = asyncio.Task[AcceptReply]


class AcceptLog:
    """Takes note of each accept as it leaves, and as it ends; `worker` names the process that sends.

    `clock` gives Unix time and `monotonic` a time that nobody sets back, both in seconds.
    """

    __slots__ = ("_begun", "_clock", "_ended", "_monotonic", "_worker")

    def __init__(self, *, worker: str, clock: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._worker = worker
        self._clock = clock
        self._monotonic = monotonic
        self._begun: list[tuple[float, float]] = []
        self._ended: dict[int, SentAccept] = {}

    def __len__(self) -> int:
        """How many were sent."""
        return len(self._begun)

    def begin(self) -> Callable[[AcceptReply], None]:
        """Take note that an accept leaves now; what is returned takes note of what came of it."""
        self._begun.append((self._clock(), self._monotonic()))
        return partial(self._end, len(self._begun) - 1)

    def records(self, last: AcceptReply) -> SentAccepts:
        """Return them in the order in which they left; `last` is what the flight came to.

        It says why nothing came of those that have not ended: another one was answered first, or something
        broke them off.
        """
        why = "no answer when another accept was answered" if last.was_answered else last.detail
        nothing = AcceptReply(last.verdict, why, was_answered=False)
        return tuple(
            self._ended.get(place) or self._record(place, nothing) for place in range(len(self._begun))
        )

    def _end(self, place: int, reply: AcceptReply) -> None:
        self._ended[place] = self._record(place, reply)

    def _record(self, place: int, reply: AcceptReply) -> SentAccept:
        at_seconds, begun_at = self._begun[place]
        return SentAccept(
            sent_at=datetime.fromtimestamp(at_seconds, UTC),
            duration_ms=max(0, round(1000 * (self._monotonic() - begun_at))),
            status=reply.status,
            code=reply.code,
            worker=self._worker,
            detail=in_short(reply.said if reply.was_answered else reply.detail) or None,
        )


class Flight:
    """One event whose accept is under way, perhaps repeated; `then` is called once, with what follows."""

    __slots__ = ("accepts", "answer", "begun_at", "had_last_chance", "held_until", "last", "sending", "then")

    def __init__(
        self, answer: Answer, then: Then, *, accepts: AcceptLog, now: float, hold_seconds: float
    ) -> None:
        self.answer = answer
        self.then = then
        self.accepts = accepts
        self.begun_at = now
        self.held_until = answer.attempt.begun_at + hold_seconds
        self.sending: dict[Sending, float] = {}
        self.last: AcceptReply | None = None
        self.had_last_chance = False
