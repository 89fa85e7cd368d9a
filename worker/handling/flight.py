"""One event whose accept is under way, and the accepts that were sent for it. For one event loop."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from worker.betcore.accept import AcceptReply
from worker.domain.accepts import SentAccept, SentAccepts, in_short
from worker.domain.settlement import Step
from worker.handling.attempt import Answer

Then = Callable[[Step], None]
Sending = asyncio.Task[AcceptReply]


class _Accept:
    """One accept that was sent, at this Unix time and at this monotonic one."""

    __slots__ = ("at_seconds", "begun_at", "log", "record")

    def __init__(self, log: "AcceptLog") -> None:
        self.log = log
        self.at_seconds = log.clock()
        self.begun_at = log.monotonic()
        self.record: SentAccept | None = None

    def ended(self, reply: AcceptReply) -> None:
        """Take note of what came of it."""
        self.record = self.recorded(
            reply.status, reply.code, reply.said if reply.was_answered else reply.detail
        )

    def recorded(self, status: int | None, code: int | None, said: str) -> SentAccept:
        """Return its record, as it ends now."""
        return SentAccept(
            sent_at=datetime.fromtimestamp(self.at_seconds, UTC),
            duration_ms=max(0, round(1000 * (self.log.monotonic() - self.begun_at))),
            status=status,
            code=code,
            worker=self.log.worker,
            detail=in_short(said) or None,
        )


class AcceptLog:
    """Takes note of each accept as it leaves, and as it ends; `worker` names the process that sends.

    `clock` gives Unix time and `monotonic` a time that nobody sets back, both in seconds.
    """

    __slots__ = ("_sent", "clock", "monotonic", "worker")

    def __init__(self, *, worker: str, clock: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self.worker = worker
        self.clock = clock
        self.monotonic = monotonic
        self._sent: list[_Accept] = []

    def __len__(self) -> int:
        """How many were sent."""
        return len(self._sent)

    def begin(self) -> Callable[[AcceptReply], None]:
        """Take note that an accept leaves now; what is returned takes note of what came of it."""
        accept = _Accept(self)
        self._sent.append(accept)
        return accept.ended

    def records(self, last: AcceptReply) -> SentAccepts:
        """Return them in the order in which they left; `last` is what the flight came to.

        It says why nothing came of those that have not ended: another one was answered first, or something
        broke them off.
        """
        why = "no answer when another accept was answered" if last.was_answered else last.detail
        return [accept.record or accept.recorded(None, None, why) for accept in self._sent]


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
