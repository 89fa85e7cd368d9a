"""Group settlement: threads that wait to settle share one call of PostgreSQL, and so one flush to disk.

Who comes while nobody leads a group goes at once, and takes along who is waiting; the rest follow, or lead
the next one. No timer holds anybody back: a lone event goes alone, and groups grow with load (decision 12).
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final
from uuid import UUID

import structlog
from psycopg_pool import ConnectionPool

from worker.domain.deadline import Deadline
from worker.domain.settlement import Instruction, Settlement
from worker.errors import CutoffPassed, LedgerUnavailable
from worker.ledger.database import DeadlineConnection
from worker.ledger.ledger import Ledger, LedgerPolicy, SettlementRequest, VerifiedEvent

MAX_LEADERS: Final = 1
MAX_GROUP: Final = 32
# Several times what a group takes. Who has been away for longer waits for a lock or for a server that hangs,
# and must not hold up those behind it: the lead counts as free.
PATIENCE_SECONDS: Final = 0.05

_log = structlog.get_logger(__name__)


class Leadership:
    """The right to have a group on its way, from the moment that it was given."""

    __slots__ = ("since_seconds",)

    def __init__(self, since_seconds: float) -> None:
        self.since_seconds = since_seconds


class _Alone:
    """The group could not settle this member: it is to settle alone."""


_ALONE: Final = _Alone()
# What a waiting member is told, once: how its event stands, to go alone, or to lead the next group.
_Outcome = Settlement | _Alone | Leadership


class _Member:
    """One call of `settle` that waits."""

    __slots__ = ("deadline", "outcome", "request")

    def __init__(self, request: SettlementRequest, deadline: Deadline) -> None:
        self.request = request
        self.deadline = deadline
        self.outcome: SimpleQueue[_Outcome] = SimpleQueue()


class GroupCommitLedger(Ledger):
    """The ledger, with `settle` in groups. Whatever becomes of a group, each call has an outcome of its own.

    Each call ends within `timeout_seconds` of its own start. When that comes while its group is on its way,
    nobody knows the outcome, and LedgerUnavailable says so, as of a call that went alone.
    """

    def __init__(  # noqa: PLR0913 - all are named where it is built
        self,
        pool: ConnectionPool[DeadlineConnection],
        *,
        policy: LedgerPolicy,
        timeout_seconds: float,
        max_leaders: int = MAX_LEADERS,
        patience_seconds: float = PATIENCE_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(pool, policy=policy, timeout_seconds=timeout_seconds)
        self._max_leaders = max_leaders
        self._patience_seconds = patience_seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        # As many as there are threads that call, at most.
        self._waiting: deque[_Member] = deque()
        self._leads: list[Leadership] = []

    def settle(
        self, event: VerifiedEvent, instruction: Instruction, *, attempt_seconds: float = 3.0
    ) -> Settlement:
        """Do what `Ledger.settle` says, together with others where others wait."""
        request = SettlementRequest(event=event, instruction=instruction, attempt_seconds=attempt_seconds)
        member = _Member(request, self.next_deadline())
        outcome = self._wait(member)
        if isinstance(outcome, Leadership):
            outcome = self._settle_group_of(member, outcome)
        if isinstance(outcome, Settlement):
            return outcome
        return self.settle_alone(request, deadline=member.deadline)

    @property
    def waiting(self) -> int:
        """How many calls wait for a lead."""
        return len(self._waiting)

    def take_lead(self) -> Leadership | None:
        """Hold groups back until `end_lead`, for `patience_seconds` at most; None where none is free."""
        with self._lock:
            return self._lead_if_free()

    def end_lead(self, lead: Leadership) -> None:
        """Give the lead back, and the next one to whoever came last: it has the most time for its group."""
        with self._lock:
            if lead in self._leads:
                self._leads.remove(lead)
            if self._waiting and (free := self._lead_if_free()) is not None:
                self._waiting.pop().outcome.put(free)

    def _wait(self, member: _Member) -> _Outcome:
        """Wait for a lead, or for the outcome of a group that somebody else leads."""
        with self._lock:
            lead = self._lead_if_free()
            if lead is not None:
                return lead
            self._waiting.append(member)
        while True:
            left_seconds = member.deadline.remaining_seconds(self._monotonic())
            try:
                return member.outcome.get(timeout=min(self._patience_seconds, left_seconds))
            except Empty:
                if left_seconds <= self._patience_seconds:
                    return self._stop_waiting(member)
            # A lead that is held for too long counts as free, and nobody says so.
            with self._lock:
                lead = self._lead_if_free() if member in self._waiting else None
                if lead is not None:
                    self._waiting.remove(member)
                    return lead

    def _stop_waiting(self, member: _Member) -> _Outcome:
        """Stop waiting, as the time is over; raise LedgerUnavailable where none came by now."""
        with self._lock:
            if member in self._waiting:
                self._waiting.remove(member)
                raise LedgerUnavailable("PostgreSQL was not asked in time")
        try:
            outcome = member.outcome.get_nowait()
        except Empty:
            raise LedgerUnavailable("PostgreSQL did not answer the event's group in time") from None
        if isinstance(outcome, Leadership):
            self.end_lead(outcome)
            raise LedgerUnavailable("PostgreSQL was not asked in time")
        return outcome

    def _lead_if_free(self) -> Leadership | None:
        """Give a lead if there is one; the lock is held."""
        now_seconds = self._monotonic()
        freshest = now_seconds - self._patience_seconds
        self._leads = [lead for lead in self._leads if lead.since_seconds > freshest]
        if len(self._leads) >= self._max_leaders:
            return None
        lead = Leadership(now_seconds)
        self._leads.append(lead)
        return lead

    def _settle_group_of(self, leader: _Member, lead: Leadership) -> Settlement | _Alone:
        """Settle the leader, and who waits, in one call; tell each of the others its outcome."""
        group = self._group_of(leader)
        settlements: dict[UUID, Settlement] = {}
        try:
            if len(group) == 1:
                return self.settle_alone(leader.request, deadline=leader.deadline)
            settlements = self._settle_together(group, leader.deadline)
        finally:
            # Whatever happened, nobody of the group may be left waiting.
            for member in group[1:]:
                member.outcome.put(settlements.get(member.request.event.event_id, _ALONE))
            self.end_lead(lead)
        return settlements.get(leader.request.event.event_id, _ALONE)

    def _group_of(self, leader: _Member) -> list[_Member]:
        """Take the leader and the next of those who wait, each event once."""
        with self._lock:
            group = {leader.request.event.event_id: leader}
            for member in list(self._waiting):
                if len(group) == MAX_GROUP:
                    break
                if group.setdefault(member.request.event.event_id, member) is member:
                    self._waiting.remove(member)
            return list(group.values())

    def _settle_together(self, group: list[_Member], deadline: Deadline) -> dict[UUID, Settlement]:
        try:
            return self.settle_group([member.request for member in group], deadline=deadline)
        except (CutoffPassed, LedgerUnavailable) as error:
            # Which member it was about, and whether the commit stands: each will find out alone.
            _log.info("group_undone", events=len(group), reason=error.reason, error=str(error))
            return {}
