"""One event from message to answer: verify again, settle, send accept, mark."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from producer.client.contract import DataError, SettleMessage, cashback_id_of, read_data
from producer.protocol.errors import KeysUnavailable, NotVouchedFor, UnknownKey, VerificationError
from producer.protocol.verifier import Verifier
from worker.betcore.accept import AcceptClient, AcceptReply, Verdict, accept_body
from worker.domain.deadline import AttemptTime, Backoff, Deadline
from worker.domain.settlement import (
    Done,
    GiveUp,
    Instruction,
    RetryAt,
    Settlement,
    State,
    Step,
    read_instruction,
    unread_instruction,
)
from worker.errors import (
    AcceptFailed,
    BadMessage,
    CutoffPassed,
    DeadlineExceeded,
    LedgerUnavailable,
    PayoutNotHere,
    RefusedByBetcore,
)
from worker.ledger.answered_marks import AnsweredMarks
from worker.ledger.ledger import Ledger, VerifiedEvent
from worker.metrics import Metrics

# After the deadline only the record is still to be made, and it waits for as long as the database is away.
_RECORD_BACKOFF: Final = Backoff(base_seconds=1.0, cap_seconds=60.0)
# A retry that is due at once would overtake the very event that announces it to Flower.
_LEAST_DELAY_SECONDS: Final = 0.05
# What says nothing against a token for good: its key may come, and Verify may only mean that it has expired.
_MAY_CHANGE: Final = (KeysUnavailable, UnknownKey, NotVouchedFor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When things end and are tried again. Seconds count from receipt."""

    cutoff_seconds: float
    deadline_seconds: float
    attempt: AttemptTime
    backoff: Backoff


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """Takes an event as far as it gets now, and says what comes next. Safe for use by many threads."""

    verifier: Verifier
    ledger: Ledger
    accept: AcceptClient
    answered_marks: AnsweredMarks
    timing: Timing
    cancel_types: frozenset[int]
    metrics: Metrics
    random: Callable[[], float]
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic

    def handle(self, message: SettleMessage, *, retries: int) -> Step:
        """Run one attempt and return the step that the caller is to take.

        Raises BadMessage for a message that nobody can answer, which belongs into quarantine.
        """
        # Anchored before the database is asked, so that the time which its reply took counts as spent.
        asked_at = self.monotonic()
        try:
            event, instruction = self._read(message)
            settlement = self._settle(event, instruction, retries=retries)
            return self._next_step(message, instruction, settlement, asked_at=asked_at, retries=retries)
        except VerificationError as error:
            return self._unverifiable(message, error, asked_at=asked_at, retries=retries)
        except (LedgerUnavailable, CutoffPassed) as error:
            return self._without_ledger(message, error, retries=retries)

    def _read(self, message: SettleMessage) -> tuple[VerifiedEvent, Instruction]:
        """Verify the token once more and read it: whoever wrote the message is not believed."""
        verified = self.verifier.verify(message.token, at=message.received_at)
        try:
            data = read_data(verified.data)
        except DataError as error:
            raise BadMessage(f"verified, but {error}") from error
        cashback_id = cashback_id_of(data)
        if cashback_id is None:
            raise BadMessage("verified, but without a CashbackId nothing can be answered")
        event = VerifiedEvent(
            event_id=message.event_id,
            token=message.token,
            cashback_id=cashback_id,
            received_at=message.received_at,
        )
        return event, read_instruction(data, cashback_id=cashback_id, cancel_types=self.cancel_types)

    def _settle(self, event: VerifiedEvent, instruction: Instruction, *, retries: int) -> Settlement:
        attempt_seconds = self.timing.attempt.seconds(retries)
        with self.metrics.settle_seconds.time():
            try:
                settlement = self.ledger.settle(event, instruction, attempt_seconds=attempt_seconds)
            except CutoffPassed:
                settlement = self.ledger.settle(event, instruction, attempt_seconds=attempt_seconds)
        self.metrics.settled.labels(code=str(settlement.code)).inc()
        return settlement

    def _next_step(
        self,
        message: SettleMessage,
        instruction: Instruction,
        settlement: Settlement,
        *,
        asked_at: float,
        retries: int,
    ) -> Step:
        if settlement.is_closed:
            return Done(settlement.state)
        if settlement.code is None:
            delay_seconds = self.timing.backoff.delay_seconds(retries=retries, random=self.random)
            return self._retry(min(delay_seconds, max(0.0, settlement.seconds_to_cutoff)), PayoutNotHere())
        deadline = Deadline(asked_at + settlement.seconds_to_deadline)
        if not deadline.leaves_an_attempt(self.monotonic()):
            return self._close(message, State.EXPIRED, DeadlineExceeded())
        attempt = Deadline(min(deadline.at_seconds, self.monotonic() + self.timing.attempt.seconds(retries)))
        with self.metrics.accept_seconds.time():
            answer = self.accept.send(accept_body(settlement, instruction), attempt)
        self.metrics.accepts.labels(verdict=answer.verdict).inc()
        return self._after_answer(message, answer, deadline, retries=retries)

    def _after_answer(
        self, message: SettleMessage, answer: AcceptReply, deadline: Deadline, *, retries: int
    ) -> Step:
        if answer.verdict is Verdict.ACKNOWLEDGED:
            self.answered_marks.answered(message.event_id)
            self.metrics.ended.labels(state=State.ANSWERED).inc()
            self.metrics.answer_seconds.observe(max(0.0, self.clock() - message.received_at_ms / 1000))
            return Done(State.ANSWERED)
        if answer.verdict is Verdict.REFUSED:
            return self._close(message, State.REFUSED, RefusedByBetcore(answer.detail))
        delay_seconds = self.timing.backoff.delay_within_seconds(
            retries=retries,
            remaining_seconds=deadline.remaining_seconds(self.monotonic()),
            random=self.random,
        )
        if delay_seconds is None:
            return self._close(message, State.EXPIRED, DeadlineExceeded(f"last answer: {answer.detail}"))
        self.ledger.postpone(message.event_id, delay_seconds=delay_seconds, error=answer.detail)
        return self._retry(delay_seconds, AcceptFailed(answer.detail))

    def _close(
        self, message: SettleMessage, state: State, error: DeadlineExceeded | RefusedByBetcore
    ) -> Step:
        if not self.ledger.close(message.event_id, state, error=str(error)):
            # Another run of the same event, redelivered or swept, came to its end first.
            return Done(state)
        self.metrics.ended.labels(state=state).inc()
        return GiveUp(error)

    def _unverifiable(
        self, message: SettleMessage, error: VerificationError, *, asked_at: float, retries: int
    ) -> Step:
        """Credit nothing: wait until the cut-off for what may change, then tell BETCORE.

        Only an event that has a receipt is answered: whoever wrote it had verified the same token. Others are
        given up, which puts their message into quarantine.
        """
        may_change = isinstance(error, _MAY_CHANGE)
        if may_change and self._seconds_since_receipt(message) < self.timing.cutoff_seconds:
            return self._retry(self.timing.backoff.delay_seconds(retries=retries, random=self.random), error)
        try:
            settlement = self.ledger.give_up(message.event_id)
            if settlement is None:
                return GiveUp(error)
            if settlement.code is None:  # by the database's clock the cut-off has not come yet
                return self._retry(max(0.0, settlement.seconds_to_cutoff), error)
            return self._next_step(
                message,
                unread_instruction(settlement.cashback_id),
                settlement,
                asked_at=asked_at,
                retries=retries,
            )
        except LedgerUnavailable as unavailable:
            return self._without_ledger(message, unavailable, retries=retries)

    def _without_ledger(
        self, message: SettleMessage, error: LedgerUnavailable | CutoffPassed, *, retries: int
    ) -> Step:
        """Ask again later: BETCORE is told nothing before it is known what became of the event."""
        in_time = self._seconds_since_receipt(message) < self.timing.deadline_seconds
        backoff = self.timing.backoff if in_time else _RECORD_BACKOFF
        return self._retry(backoff.delay_seconds(retries=retries, random=self.random), error)

    def _retry(self, delay_seconds: float, error: Exception) -> RetryAt:
        self.metrics.retried.labels(reason=getattr(error, "reason", type(error).__name__)).inc()
        return RetryAt(max(_LEAST_DELAY_SECONDS, delay_seconds), error)

    def _seconds_since_receipt(self, message: SettleMessage) -> float:
        return self.clock() - message.received_at_ms / 1000
