"""Sends replays: claims what is due, has the accepts sent, and puts on record what came of them.

Every worker has one, in the thread of its sweeper. The accepts are in flight beside those of fresh
events, and hold no thread. Decision 48.
"""

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import structlog

from worker.betcore.accept import AcceptReply, Verdict
from worker.domain.accepts import SentAccepts
from worker.domain.deadline import Backoff
from worker.domain.settlement import Done, Step
from worker.errors import LedgerUnavailable
from worker.handling.answering import Answering
from worker.handling.attempt import Answer
from worker.replay.answer import TokenNotOnRecord, answer_of
from worker.replay.store import Outcome, Replay, ReplayState, ReplayStore

# One accept may wait so long for its answer: less than the lease.
ATTEMPT_SECONDS: Final = 10.0
# Of the accepts that a worker may have in flight: those of fresh events keep the rest.
_SHARE: Final = 5
_MAX_IN_FLIGHT: Final = 400
BACKOFF: Final = Backoff(base_seconds=1.0, cap_seconds=8.0)
# Outcomes that PostgreSQL does not take one by one either: so many, and the rest waits.
_MOST_FAILURES: Final = 2
_MAX_NAMED: Final = 10

_log = structlog.get_logger(__name__)


class Replays:
    """Sends replays. `round` and `note` are for one thread at a time and raise LedgerUnavailable."""

    def __init__(
        self,
        store: ReplayStore,
        answering: Answering,
        *,
        backoff: Backoff = BACKOFF,
        attempt_seconds: float = ATTEMPT_SECONDS,
        random: Callable[[], float],
    ) -> None:
        self._store = store
        self._answering = answering
        self._metrics = answering.handler.metrics
        self._backoff = backoff
        self._attempt_seconds = attempt_seconds
        self._random = random
        self._max_in_flight = min(_MAX_IN_FLIGHT, max(1, answering.max_in_flight // _SHARE))
        self._monotonic = answering.handler.monotonic
        # What is in hand, until when; and what came of it and is not on record yet.
        self._held: dict[int, float] = {}
        self._came_to: deque[tuple[Replay, Outcome]] = deque()

    def round(self) -> None:
        """Put on record what came of earlier accepts, and send what is due."""
        self.note()
        self._claim_and_send()

    def note(self) -> None:
        """Write what came of accepts in one commit, or each alone where that fails.

        What its lease has ended for is dropped, as another worker has it by then; no acknowledgement is.
        """
        waiting = [self._came_to.popleft() for _ in range(len(self._came_to))]
        in_time = [each for each in waiting if self._counts(*each)]
        if not in_time:
            return
        try:
            self._write(in_time)
        except LedgerUnavailable:
            if len(in_time) == 1:
                self._came_to.extend(in_time)
                raise
            self._note_each(in_time)

    def _counts(self, replay: Replay, outcome: Outcome) -> bool:
        # An acknowledgement is true whoever brings it, and however late.
        is_held = self._held.get(replay.replay_id, 0.0) > self._monotonic()
        return is_held or outcome.state is ReplayState.ANSWERED

    def _claim_and_send(self) -> None:
        now = self._monotonic()
        self._held = {replay_id: ends_at for replay_id, ends_at in self._held.items() if ends_at > now}
        if len(self._held) >= self._max_in_flight:
            return
        claimed = self._store.claim(limit=self._max_in_flight - len(self._held))
        for state in claimed.ended:
            self._count(state)
        for replay in claimed.replays:
            self._held[replay.replay_id] = now + self._store.lease_seconds
            self._send(replay, now)

    def _send(self, replay: Replay, claimed_at: float) -> None:
        try:
            answer = answer_of(
                replay,
                begun_at=claimed_at,
                attempt_seconds=self._attempt_seconds,
                after_reply=partial(self._after_reply, replay, claimed_at),
            )
        except TokenNotOnRecord as error:
            self._ended(replay, ReplayState.FAILED, error=str(error))
            return
        self._answering.send(answer, then=lambda _step: None)

    def _after_reply(
        self, replay: Replay, claimed_at: float, _answer: Answer, reply: AcceptReply, *, sent: SentAccepts
    ) -> Step:
        """Take down what came of an accept, in any thread, and write nothing: the next round does."""
        if reply.verdict is Verdict.ACKNOWLEDGED:
            self._ended(replay, ReplayState.ANSWERED, sent=sent)
            return Done(replay.settlement.state)
        delay_seconds = self._delay_seconds(replay, claimed_at, reply)
        if delay_seconds is None:
            self._ended(replay, ReplayState.FAILED, sent=sent, error=reply.detail)
        else:
            self._ended(replay, ReplayState.OPEN, sent=sent, error=reply.detail, delay_seconds=delay_seconds)
        return Done(replay.settlement.state)

    def _delay_seconds(self, replay: Replay, claimed_at: float, reply: AcceptReply) -> float | None:
        """Return the pause before the next try; None where there is none."""
        if reply.verdict is Verdict.REFUSED or replay.tries >= self._store.max_tries:
            return None
        return self._backoff.delay_within_seconds(
            retries=replay.tries - 1,
            remaining_seconds=claimed_at + replay.seconds_left - self._monotonic(),
            random=self._random,
            least_seconds=reply.retry_after_seconds,
        )

    def _ended(
        self,
        replay: Replay,
        state: ReplayState,
        *,
        sent: SentAccepts = (),
        error: str | None = None,
        delay_seconds: float | None = None,
    ) -> None:
        outcome = Outcome(
            replay_id=replay.replay_id,
            tries=replay.tries,
            state=state,
            sent=sent,
            error=error,
            delay_seconds=delay_seconds,
        )
        self._came_to.append((replay, outcome))

    def _note_each(self, outcomes: list[tuple[Replay, Outcome]]) -> None:
        failed: list[tuple[Replay, Outcome]] = []
        for place, each in enumerate(outcomes):
            try:
                self._write([each])
            except LedgerUnavailable:
                failed.append(each)
                if len(failed) == _MOST_FAILURES:
                    self._came_to.extend([*outcomes[place + 1 :], *failed])
                    raise
        self._came_to.extend(failed)

    def _write(self, outcomes: Sequence[tuple[Replay, Outcome]]) -> None:
        self._store.note([outcome for _, outcome in outcomes])
        for replay, outcome in outcomes:
            self._held.pop(replay.replay_id, None)
            self._count(outcome.state)
        failed = [(replay, outcome) for replay, outcome in outcomes if outcome.state is ReplayState.FAILED]
        if failed:
            _log.warning(
                "replays_failed",
                replays=len(failed),
                event_ids=[str(replay.event_id) for replay, _ in failed[:_MAX_NAMED]],
                error=failed[0][1].error,
            )

    def _count(self, state: ReplayState) -> None:
        if state is not ReplayState.OPEN:
            self._metrics.replays.labels(outcome=state).inc()
