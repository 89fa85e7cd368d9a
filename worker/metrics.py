"""The worker's metrics; every label value is one of a fixed set."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from cashback_client.contract import OWN_PRODUCER

OTHER_PRODUCER: Final = "other"
"""The label of producers that the worker does not take from: what another worker gave back may be theirs."""


class MessageStep(StrEnum):
    """How far a message came; one that was too late is answered 102823, and is settled as well."""

    TAKEN = "taken"
    SETTLED = "settled"
    TOO_LATE = "too_late"


_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 20, 25, 30)


class Metrics:
    """Counters, gauges and histograms of one worker process, in a registry of their own.

    Of the producers that are told apart, `producers` are those that the worker takes from.
    """

    def __init__(self, producers: Iterable[str] = (OWN_PRODUCER,)) -> None:
        self.registry = CollectorRegistry()
        by_step = Counter(
            "cashback_messages_total",
            "Messages by producer and how far they came: taken, settled, and of these too late",
            ["producer", "step"],
            registry=self.registry,
        )
        self._messages = {
            (producer, step): by_step.labels(producer=producer, step=step)
            for producer in (*producers, OTHER_PRODUCER)
            for step in MessageStep
        }
        self.settled = self._counter("cashback_settled_total", "Settlements by ErrorCode", "code")
        self.ended = self._counter("cashback_ended_total", "Events by their end", "state")
        self.retried = self._counter("cashback_retried_total", "Attempts put off, by reason", "reason")
        self.accepts = self._counter("cashback_accepts_total", "Accept attempts by verdict", "verdict")
        self.odd_replies = self._counter(
            "cashback_odd_replies_total", "Replies to accept whose ErrorCode was read leniently", "oddity"
        )
        self.bearers = self._counter("cashback_bearers_total", "Access tokens asked for, by result", "result")
        self.waiting_accepts = self._gauge(
            "cashback_waiting_accepts", "Accepts that wait for BETCORE's answer just now"
        )
        self.replays = self._counter(
            "cashback_replays_total", "Replays that ended, by what they came to", "outcome"
        )
        self.swept = self._counter("cashback_swept_total", "Overdue events by what was done", "action")
        self.moved_entries = self._counter(
            "cashback_moved_entries_total",
            "Entries brought to their queue from a list that nobody reads",
            "list",
        )
        self.unread_entries = Gauge(
            "cashback_unread_entries",
            "Entries on a list that nobody reads, as of the last look",
            ["list"],
            registry=self.registry,
        )
        self.oldest_snapshot_seconds = self._gauge(
            "cashback_oldest_snapshot_seconds",
            "Age of the oldest snapshot of the database, as of the last look",
        )
        self.unconfirmed = self._gauge(
            "cashback_unconfirmed_events",
            "Events for which money moved and BETCORE has acknowledged none, as of the last look",
        )
        self.lost_commits = self._gauge(
            "cashback_ledger_lost_commits",
            "Transactions that the ledger answered for once and does not have any more: it was rewound",
        )
        self.missing_parts = self._gauge(
            "cashback_ledger_missing_parts",
            "Parts of the schema that are missing, so that nothing is settled; NaN: not known",
        )
        self.asynchronous_standbys = self._gauge(
            "cashback_ledger_asynchronous_standbys",
            "Standbys of PostgreSQL that a commit does not wait for; NaN: not known",
        )
        self.settle_seconds = self._histogram("cashback_settle_seconds", "Time of one ledger call")
        self.accept_seconds = self._histogram("cashback_accept_seconds", "Time of one accept attempt")
        self.answer_seconds = self._histogram(
            "cashback_answer_seconds", "From receipt to BETCORE's acknowledgement"
        )

    def message(self, producer: str, step: MessageStep) -> None:
        """Count a message of a producer; those that are nobody's here are counted together."""
        counter = self._messages.get((producer, step)) or self._messages[OTHER_PRODUCER, step]
        counter.inc()

    def accept_read(self, verdict: str, oddity: str | None) -> None:
        """Count a reply of BETCORE's to accept, and what was odd about it."""
        self.accepts.labels(verdict=verdict).inc()
        if oddity is not None:
            self.odd_replies.labels(oddity=oddity).inc()

    def _counter(self, name: str, text: str, label: str) -> Counter:
        return Counter(name, text, [label], registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, registry=self.registry)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(name, text, buckets=_SECONDS, registry=self.registry)
