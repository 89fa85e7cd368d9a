"""The sweeper: a thread in every worker that finds overdue events and sends them on.

It needs no leader (claims skip rows that others hold) and no broker: while Redis is away, or nobody empties
the queue, it runs events itself, with the handler of the tasks, and goes back to the queue afterwards.
Decisions 9 and 32.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from cashback_client.contract import OWN_PRODUCER, SettleMessage, queue_of
from worker.domain.settlement import Step
from worker.errors import LedgerUnavailable
from worker.handling.answering import Answering
from worker.handling.attempt import Answer
from worker.recovery.broker import Broker, BrokerUnavailable, Found
from worker.recovery.overdue import OverdueEvent, OverdueReceipts
from worker.recovery.queue_watch import QueueWatch
from worker.recovery.retention import Retention
from worker.recovery.sweep_log import SweepLog
from worker.recovery.upkeep import Upkeep
from worker.replay.sender import Replays

# The pause between sweeps varies by this share, so that workers do not sweep in step.
_JITTER: Final = 0.2
# While it settles directly, sweep follows sweep; what else is to be done comes in between.
_LONGEST_ROUND_SECONDS: Final = 5.0
# While this fails events are settled directly.
_BROKER: Final = "broker"
_QUEUE: Final = "queue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweeper:
    """One sweep, and how often. `sweep` is for one thread; `run` calls it until `stopping` is set.

    `partners` are the producers whose own queues workers take from.
    """

    overdue: OverdueReceipts
    retention: Retention
    upkeep: Upkeep
    replays: Replays
    broker: Broker
    queue_watch: QueueWatch
    answering: Answering
    executor: ThreadPoolExecutor
    log: SweepLog
    interval_seconds: float
    random: Callable[[], float]
    partners: Sequence[str] = ()
    monotonic: Callable[[], float] = time.monotonic

    def run(self, stopping: threading.Event) -> None:
        """Sweep at once, and then until told to stop. Whatever fails is tried again with the next sweep."""
        pause_seconds = 0.0
        while not stopping.wait(pause_seconds):
            pause_seconds = self.interval_seconds * (1 - _JITTER + 2 * _JITTER * self.random())
            self._sweep_all(stopping)
            self._run_job("replays", self.replays.round)
            self._run_job("upkeep", self.upkeep.run)
            self._run_job("retention", self.retention.prune)

    def _sweep_all(self, stopping: threading.Event) -> None:
        ends_at = self.monotonic() + _LONGEST_ROUND_SECONDS
        while self._sweep_once() and not stopping.is_set() and self.monotonic() < ends_at:
            pass
        self.log.tell()

    def _run_job(self, name: str, job: Callable[[], object]) -> bool:
        """Run one job of a round; what comes after it comes all the same. True if the job says so."""
        try:
            result = job()
        except LedgerUnavailable as error:
            self.log.fails(name, reason=error.reason, error=str(error))
        except Exception as error:  # noqa: BLE001 - logged with its traceback
            # The thread must outlive any surprise: without it lost events would wait for nobody.
            self.log.fails(name, reason="unexpected", exc_info=error)
        else:
            self.log.works(name)
            return result is True
        return False

    def close(self) -> None:
        """Drop what has not begun, wait for what has, and let go of the broker. Call it after `run` ended."""
        self._run_job("replays", self.replays.note)
        self.executor.shutdown(cancel_futures=True)
        self.upkeep.close()
        self.broker.close()

    def sweep(self) -> bool:
        """Give up, expire, and send on what is overdue; True if more may be waiting for a direct run.

        Each of the three fails alone.
        """
        more = self._sweep_once()
        self.log.tell()
        return more

    def _sweep_once(self) -> bool:
        self._run_job("give_up", self._give_up)
        self._run_job("expire", self._expire)
        return self._run_job("send_on", self._claim_and_send_on)

    def _give_up(self) -> None:
        self.log.did("given_up", self.overdue.give_up())

    def _expire(self) -> None:
        expired = self.overdue.expire()
        self.log.did("expired", expired.events)
        self.log.left_unconfirmed(expired.unconfirmed)

    def _claim_and_send_on(self) -> bool:
        try:
            if self.queue_watch.nobody_empties():
                self.log.fails(_QUEUE, reason="nobody_empties_it", detail="events are settled directly")
                return self._settle_directly(
                    self.overdue.claim(lost_before=None, of_partners=dict.fromkeys(self.partners))
                )
            at_heads = {name: self.broker.at_head(queue_of(name)) for name in (OWN_PRODUCER, *self.partners)}
        except BrokerUnavailable as error:
            self.log.fails(_BROKER, reason=error.reason, error=str(error))
            return self._settle_directly(
                self.overdue.claim(lost_before=None, of_partners=dict.fromkeys(self.partners))
            )
        self.log.works(_QUEUE)
        lost_before = {name: self._lost_before(at_head) for name, at_head in at_heads.items()}
        of_our_own = lost_before.pop(OWN_PRODUCER)
        return self._send_on(self.overdue.claim(lost_before=of_our_own, of_partners=lost_before))

    def _lost_before(self, at_head: list[UUID] | None) -> datetime | None:
        return None if at_head is None else self.overdue.lost_before(at_head)

    def _send_on(self, events: list[OverdueEvent]) -> bool:
        sent = 0
        try:
            events = self._as_sent(self._that_nobody_has(events))
            for event in events:
                self._send(event)
                sent += 1
        except BrokerUnavailable as error:
            self.log.fails(_BROKER, reason=error.reason, error=str(error))
        else:
            self.log.works(_BROKER)
        finally:
            self.log.did("republished", sent, event_ids=_ids(events[:sent]))
        return self._settle_directly(events[sent:])

    def _as_sent(self, events: list[OverdueEvent]) -> list[OverdueEvent]:
        """Return events in the order of sending: of those that are put first the oldest one last."""
        first = [event for event in events if self._goes_first(event)]
        others = [event for event in events if not self._goes_first(event)]
        return others + sorted(first, key=lambda event: event.received_at, reverse=True)

    def _send(self, event: OverdueEvent) -> None:
        send = self.broker.put_first if self._goes_first(event) else self.broker.publish
        send(_message(event), producer=event.producer)

    def _goes_first(self, event: OverdueEvent) -> bool:
        """Whether it goes to the head of its producer's queue: the retry queue is no place for a flood."""
        return event.producer in self.partners and not event.is_settled

    def _that_nobody_has(self, events: list[OverdueEvent]) -> list[OverdueEvent]:
        """Leave out the events whose message is on its way: a second one would only make all slower."""
        if not events:
            return events
        found = self.broker.find(_ids(events))
        return [event for event in events if not _is_on_its_way(event, found)]

    def _settle_directly(self, events: list[OverdueEvent]) -> bool:
        runs = [self.executor.submit(self._settle_one, event) for event in events]
        # One bad event does not keep the others from being settled.
        wait(runs)
        # What was dropped as the worker stops is overdue again for another one.
        done = [(event, run) for event, run in zip(events, runs, strict=True) if not run.cancelled()]
        for event, run in done:
            if (error := run.exception()) is not None:
                self.log.did_not_settle(event.event_id, error)
        steps = [type(run.result()).__name__ for _, run in done if run.exception() is None]
        self.log.did("settled_directly", len(events), event_ids=_ids(events), steps=steps)
        return bool(events)

    def _settle_one(self, event: OverdueEvent) -> Step | Answer:
        came_to = self.answering.handler.handle(_message(event), retries=event.runs, producer=event.producer)
        if isinstance(came_to, Answer):
            # Whatever step follows needs no action: where it says "again later", the receipt does so too.
            self.answering.send(came_to, then=lambda _step: None)
        return came_to


def _is_on_its_way(event: OverdueEvent, found: Found) -> bool:
    if event.event_id in found.queued:
        return True
    # Its last chance: who has it may be stuck, and an entry may lie about whose it is.
    if event.is_in_a_hurry:
        return False
    # A worker that has a fresh event and does not come to it is no reason to wait.
    return not found.is_complete or (event.is_settled and event.event_id in found.held)


def _ids(events: list[OverdueEvent]) -> list[UUID]:
    return [event.event_id for event in events]


def _message(event: OverdueEvent) -> SettleMessage:
    return SettleMessage(token=event.token, received_at_ms=round(event.received_at.timestamp() * 1000))
