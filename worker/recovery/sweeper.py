"""The sweeper: a thread in every worker that finds overdue events and sends them on.

It needs no leader (claims skip rows that others hold) and no broker: while Redis is away it runs events
itself, with the handler of the tasks, and goes back to the queue when that answers again. Decision 9.
"""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Final

import structlog

from producer.client.contract import SettleMessage
from worker.domain.settlement import Step
from worker.errors import LedgerUnavailable
from worker.handling.answering import Answering
from worker.handling.attempt import Answer
from worker.metrics import Metrics
from worker.recovery.broker import Broker, BrokerUnavailable
from worker.recovery.overdue import OverdueEvent, OverdueReceipts
from worker.recovery.retention import Retention
from worker.recovery.upkeep import Upkeep

# The pause between sweeps varies by this share, so that workers do not sweep in step.
_JITTER: Final = 0.2
_MAX_LOGGED_IDS: Final = 10

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweeper:
    """One sweep, and how often. `sweep` is for one thread; `run` calls it until `stopping` is set."""

    overdue: OverdueReceipts
    retention: Retention
    upkeep: Upkeep
    broker: Broker
    answering: Answering
    executor: ThreadPoolExecutor
    metrics: Metrics
    interval_seconds: float
    random: Callable[[], float]

    def run(self, stopping: threading.Event) -> None:
        """Sweep at once, and then until told to stop. Whatever fails is tried again with the next sweep."""
        pause_seconds = 0.0
        while not stopping.wait(pause_seconds):
            pause_seconds = self.interval_seconds * (1 - _JITTER + 2 * _JITTER * self.random())
            self._sweep_all(stopping)
            self._run_job("upkeep", self.upkeep.run)
            self._run_job("retention", self.retention.prune)

    def _sweep_all(self, stopping: threading.Event) -> None:
        while self.sweep() and not stopping.is_set():
            pass

    @staticmethod
    def _run_job(name: str, job: Callable[[], object]) -> bool:
        """Run one job of a round; what comes after it comes all the same. True if the job says so."""
        try:
            return job() is True
        except LedgerUnavailable as error:
            _log.warning("sweep_failed", job=name, reason=error.reason, error=str(error))
        except Exception:  # noqa: BLE001 - logged with its traceback
            # The thread must outlive any surprise: without it lost events would wait for nobody.
            _log.exception("sweep_failed", job=name, reason="unexpected")
        return False

    def close(self) -> None:
        """Drop what has not begun, wait for what has, and let go of the broker. Call it after `run` ended."""
        self.executor.shutdown(cancel_futures=True)
        self.broker.close()

    def sweep(self) -> bool:
        """Give up, expire, and send on what is overdue; True if more may be waiting for a direct run.

        Each of the three fails alone.
        """
        self._run_job("give_up", self._give_up)
        self._run_job("expire", self._expire)
        return self._run_job("send_on", self._claim_and_send_on)

    def _give_up(self) -> None:
        self._count("given_up", self.overdue.give_up())

    def _expire(self) -> None:
        expired = self.overdue.expire()
        self._count("expired", expired.events)
        if expired.unconfirmed:
            _log.error("events_unconfirmed", events=expired.unconfirmed)

    def _claim_and_send_on(self) -> bool:
        try:
            claimed = self.overdue.claim(lost_before=self.broker.waiting_since())
        except BrokerUnavailable as error:
            _log.warning("sweep_settles_directly", error=str(error))
            return self._settle_directly(self.overdue.claim(lost_before=None))
        return self._send_on(claimed)

    def _send_on(self, events: list[OverdueEvent]) -> bool:
        sent = 0
        try:
            for event in events:
                self.broker.publish(_message(event))
                sent += 1
        except BrokerUnavailable as error:
            _log.warning("sweep_settles_directly", error=str(error))
        finally:
            self._count("republished", sent, event_ids=_first_ids(events[:sent]))
        return self._settle_directly(events[sent:])

    def _settle_directly(self, events: list[OverdueEvent]) -> bool:
        runs = [self.executor.submit(self._settle_one, event) for event in events]
        # One bad event does not keep the others from being settled.
        wait(runs)
        # What was dropped as the worker stops is overdue again for another one.
        done = [(event, run) for event, run in zip(events, runs, strict=True) if not run.cancelled()]
        failed = [(event, run) for event, run in done if run.exception()]
        steps = Counter(type(run.result()).__name__ for _, run in done if not run.exception())
        self._count("settled_directly", len(events), steps=dict(steps), event_ids=_first_ids(events))
        if failed:
            _log.error(
                "direct_settlement_failed",
                events=len(failed),
                event_ids=_first_ids([event for event, _ in failed]),
                exc_info=failed[0][1].exception(),
            )
        return bool(events)

    def _settle_one(self, event: OverdueEvent) -> Step | Answer:
        came_to = self.answering.handler.handle(_message(event), retries=event.attempts)
        if isinstance(came_to, Answer):
            # Whatever step follows needs no action: where it says "again later", the receipt does so too.
            self.answering.send(came_to, then=lambda _step: None)
        return came_to

    def _count(self, action: str, events: int, **details: object) -> None:
        if events:
            self.metrics.swept.labels(action=action).inc(events)
            _log.info("swept", action=action, events=events, **details)


def _first_ids(events: list[OverdueEvent]) -> list[str]:
    """Return what a log line names of many events."""
    return [str(event.event_id) for event in events[:_MAX_LOGGED_IDS]]


def _message(event: OverdueEvent) -> SettleMessage:
    return SettleMessage(token=event.token, received_at_ms=round(event.received_at.timestamp() * 1000))
