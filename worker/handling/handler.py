"""One event from message to answer: verify again, settle, and what follows from BETCORE's reply.

What lies between, the accept itself, holds no thread: see `answering`. Decision 33.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from cashback_client.contract import (
    OWN_PRODUCER,
    DataError,
    ErrorCode,
    SettleMessage,
    cashback_id_of,
    read_data,
)
from producer.protocol.errors import KeysUnavailable, NotVouchedFor, UnknownKey, VerificationError
from producer.protocol.verifier import Verifier
from worker.betcore.accept import AcceptReply, Verdict
from worker.betcore.accept_body import accept_body
from worker.domain.accepts import SentAccepts
from worker.domain.deadline import Backoff, Deadline
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
from worker.handling.attempt import Answer, Attempt
from worker.ledger.answered_marks import AnsweredMarks
from worker.ledger.commit_notes import CommitNotes
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
    """When things end and are tried again. Seconds count from receipt.

    `hold_seconds` after its settlement an event is overdue, unless its hold is made longer.
    """

    cutoff_seconds: float
    deadline_seconds: float
    hold_seconds: float
    backoff: Backoff


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """Takes an event as far as it gets now, and says what comes next. Safe for use by many threads."""

    verifier: Verifier
    ledger: Ledger
    answered_marks: AnsweredMarks
    timing: Timing
    cancel_types: frozenset[int]
    metrics: Metrics
    random: Callable[[], float]
    commit_notes: CommitNotes = field(default_factory=CommitNotes)
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic

    def handle(self, message: SettleMessage, *, retries: int, producer: str = OWN_PRODUCER) -> Step | Answer:
        """Settle the event and return the step that the caller is to take, or the answer that it is to send.

        `producer` is who handed it in, as its queue vouches for.
        Raises BadMessage for a message that nobody can answer, which belongs into quarantine.
        """
        attempt = Attempt(message=message, retries=retries, begun_at=self.monotonic(), producer=producer)
        try:
            event, instruction = self._read(message, producer)
            settlement = self._settle(event, instruction)
            return self._next_step(attempt, settlement, instruction)
        except VerificationError as error:
            return self._unverifiable(attempt, error)
        except (LedgerUnavailable, CutoffPassed) as error:
            return self._without_ledger(attempt, error)

    def _read(self, message: SettleMessage, producer: str) -> tuple[VerifiedEvent, Instruction]:
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
            producer=producer,
        )
        return event, read_instruction(data, cashback_id=cashback_id, cancel_types=self.cancel_types)

    def _settle(self, event: VerifiedEvent, instruction: Instruction) -> Settlement:
        hold_seconds = self.timing.hold_seconds
        with self.metrics.settle_seconds.time():
            try:
                settlement = self.ledger.settle(event, instruction, attempt_seconds=hold_seconds)
            except CutoffPassed:
                settlement = self.ledger.settle(event, instruction, attempt_seconds=hold_seconds)
        self.metrics.settled.labels(code=str(settlement.code)).inc()
        if settlement.code == ErrorCode.SUCCESS and settlement.transaction is not None:
            self.commit_notes.note(settlement.transaction, event.event_id)
        return settlement

    def _next_step(self, attempt: Attempt, settlement: Settlement, instruction: Instruction) -> Step | Answer:
        if settlement.is_closed:
            return Done(settlement.state)
        if settlement.code is None:
            delay_seconds = min(self._delay_seconds(attempt), max(0.0, settlement.seconds_to_cutoff))
            return self._retry(delay_seconds, PayoutNotHere())
        deadline = Deadline(attempt.begun_at + settlement.seconds_to_deadline)
        if not deadline.leaves_an_attempt(self.monotonic()):
            return self._close(attempt, State.EXPIRED, DeadlineExceeded())
        is_refused = settlement.code == ErrorCode.ERROR_ADDING_TRANSACTION
        return Answer(
            attempt=attempt,
            body=accept_body(settlement, instruction),
            deadline=deadline,
            is_late=is_refused and settlement.seconds_to_cutoff <= 0,
        )

    def after_reply(self, answer: Answer, reply: AcceptReply, *, sent: SentAccepts) -> Step:
        """Say what follows from BETCORE's reply, and have all that was sent put on record. Never raises."""
        try:
            return self._after_reply(answer.attempt, reply, answer.deadline, sent)
        except LedgerUnavailable as error:
            return self._without_ledger(answer.attempt, error)

    def _after_reply(
        self, attempt: Attempt, reply: AcceptReply, deadline: Deadline, sent: SentAccepts
    ) -> Step:
        if reply.verdict is Verdict.ACKNOWLEDGED:
            self.answered_marks.answered(attempt.event_id, sent=sent)
            self.metrics.ended.labels(state=State.ANSWERED).inc()
            self.metrics.answer_seconds.observe(max(0.0, attempt.seconds_since_receipt(self.clock())))
            return Done(State.ANSWERED)
        if reply.verdict is Verdict.REFUSED:
            return self._close(attempt, State.REFUSED, RefusedByBetcore(reply.detail), reply.detail, sent)
        delay_seconds = self.timing.backoff.delay_within_seconds(
            retries=attempt.retries,
            remaining_seconds=deadline.remaining_seconds(self.monotonic()),
            random=self.random,
            least_seconds=reply.retry_after_seconds,
        )
        if delay_seconds is None:
            error = DeadlineExceeded(f"the deadline passed; last attempt: {reply.detail}")
            return self._close(attempt, State.EXPIRED, error, reply.detail, sent)
        self.ledger.postpone(attempt.event_id, delay_seconds=delay_seconds, error=reply.detail, sent=sent)
        return self._retry(delay_seconds, AcceptFailed(reply.detail))

    def _close(
        self,
        attempt: Attempt,
        state: State,
        error: DeadlineExceeded | RefusedByBetcore,
        detail: str | None = None,
        sent: SentAccepts = (),
    ) -> Step:
        """End an event badly; the record keeps what it knows where `detail` says nothing new."""
        if not self.ledger.close(attempt.event_id, state, error=detail, sent=sent):
            # Another run of the same event, redelivered or swept, came to its end first.
            return Done(state)
        self.metrics.ended.labels(state=state).inc()
        return GiveUp(error)

    def _unverifiable(self, attempt: Attempt, error: VerificationError) -> Step | Answer:
        """Credit nothing: wait until the cut-off for what may change, then tell BETCORE.

        Only an event that has a receipt is answered: whoever wrote it had verified the same token. Others are
        given up, which puts their message into quarantine.
        """
        # A moment that is far ahead is a lie, and must not have the message go round for ever.
        is_early = abs(attempt.seconds_since_receipt(self.clock())) < self.timing.cutoff_seconds
        if isinstance(error, _MAY_CHANGE) and is_early:
            return self._retry(self._delay_seconds(attempt), error)
        try:
            settlement = self.ledger.give_up(attempt.event_id)
            if settlement is None:
                return GiveUp(error)
            if settlement.code is None:  # by the database's clock the cut-off has not come yet
                return self._retry(max(0.0, settlement.seconds_to_cutoff), error)
            return self._next_step(attempt, settlement, unread_instruction(settlement.cashback_id))
        except LedgerUnavailable as unavailable:
            return self._without_ledger(attempt, unavailable)

    def _without_ledger(self, attempt: Attempt, error: LedgerUnavailable | CutoffPassed) -> Step:
        """Ask again later: BETCORE is told nothing before it is known what became of the event."""
        in_time = attempt.seconds_since_receipt(self.clock()) < self.timing.deadline_seconds
        backoff = self.timing.backoff if in_time else _RECORD_BACKOFF
        return self._retry(backoff.delay_seconds(retries=attempt.retries, random=self.random), error)

    def _delay_seconds(self, attempt: Attempt) -> float:
        return self.timing.backoff.delay_seconds(retries=attempt.retries, random=self.random)

    def _retry(self, delay_seconds: float, error: Exception) -> RetryAt:
        self.metrics.retried.labels(reason=getattr(error, "reason", type(error).__name__)).inc()
        return RetryAt(max(_LEAST_DELAY_SECONDS, delay_seconds), error)
