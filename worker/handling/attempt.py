"""One attempt at one event: what the steps of the handler pass on.

Decision 2.
"""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from cashback_client.contract import OWN_PRODUCER, SettleMessage
from worker.betcore.accept import AcceptReply
from worker.domain.accepts import SentAccepts
from worker.domain.deadline import Deadline
from worker.domain.settlement import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One run of an event, begun at `begun_at` (monotonic seconds), after `retries` earlier ones.

    The time that the database's reply takes counts as spent: its "seconds to the deadline" are counted from
    `begun_at`. `producer` is who handed the event in.
    """

    message: SettleMessage
    retries: int
    begun_at: float
    producer: str = OWN_PRODUCER

    @property
    def event_id(self) -> UUID:
        """The event's id."""
        return self.message.event_id

    @property
    def is_partners(self) -> bool:
        """Whether a partner service handed the event in."""
        return self.producer != OWN_PRODUCER

    def seconds_since_receipt(self, now: float) -> float:
        """Return how long ago the event was received, at `now` (Unix seconds)."""
        return now - self.message.received_at_ms / 1000


class AfterReply(Protocol):
    """Says what follows from a reply to an answer whose accepts were `sent`, in any thread; never raises."""

    def __call__(self, answer: "Answer", reply: AcceptReply, *, sent: SentAccepts) -> Step:
        """Return what the caller is to do."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A settled event whose accept is to be sent; `deadline` is the event's own (monotonic).

    `is_late`: it is answered 102823, and its credit cut-off has passed. `after_reply`: who says what follows;
    None: the handler, as the event is under way.
    """

    attempt: Attempt
    body: bytes
    deadline: Deadline
    is_late: bool
    after_reply: AfterReply | None = None
