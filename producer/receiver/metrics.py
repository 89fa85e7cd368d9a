"""What the receiver counts and times, for Prometheus."""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from producer.receiver.answers import RECEIVED, Answer

# In seconds: from well under the usual answer to the longest that the settings' defaults allow.
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

RECEIPT: Final = "receipt"
MESSAGE: Final = "message"
COPY_KINDS: Final = (RECEIPT, MESSAGE)


class ReceiverMetrics:
    """The receiver's metrics, in a registry of their own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.makes = Counter(
            "cashback_makes",
            "Makes answered, by outcome (received, rejected, unavailable) and reason.",
            ["outcome", "reason"],
            registry=registry,
        )
        self.copies = Counter(
            "cashback_copies",
            "Copies of received events, by kind (receipt, message) and result.",
            ["kind", "result"],
            registry=registry,
        )
        self.late_receipts = Counter(
            "cashback_late_receipts",
            "Receipts that were not made when their makes were answered, by what became of them (recorded, "
            "cut_off_passed, too_many, stopped).",
            ["result"],
            registry=registry,
        )
        self.copy_away = Gauge(
            "cashback_copy_away",
            "1 while the server of this kind of copy (receipt, message) is away: no make waits for it.",
            ["kind"],
            registry=registry,
        )
        self.answers_delayed = Counter(
            "cashback_answers_delayed",
            "Answers that came late, as too many makes of the same address were not verified.",
            registry=registry,
        )
        self.key_fetches = Counter(
            "cashback_key_fetches",
            "Fetches of BETCORE's published keys, by result.",
            ["result"],
            registry=registry,
        )
        self.door_seconds = Histogram(
            "cashback_door_seconds",
            "From the first byte of a make to its answer.",
            registry=registry,
            buckets=_BUCKETS,
        )
        self.copy_seconds = {
            RECEIPT: Histogram(
                "cashback_receipt_seconds", "Time to record a receipt.", registry=registry, buckets=_BUCKETS
            ),
            MESSAGE: Histogram(
                "cashback_publish_seconds", "Time to publish a message.", registry=registry, buckets=_BUCKETS
            ),
        }
        # Looking up a child by its labels costs more than counting.
        self._received = self.makes.labels(RECEIVED.outcome, RECEIVED.reason)
        self._copied = {kind: self.copies.labels(kind, "ok") for kind in COPY_KINDS}

    def make_answered(self, answer: Answer, *, seconds: float) -> None:
        """Count one answer, and the time that it took."""
        if answer is RECEIVED:
            self._received.inc()
        else:
            self.makes.labels(answer.outcome, answer.reason).inc()
        self.door_seconds.observe(seconds)

    def copy_ended(self, kind: str, result: str, *, seconds: float) -> None:
        """Count the end of one copy, and the time that it took."""
        if result == "ok":
            self._copied[kind].inc()
        else:
            self.copies.labels(kind, result).inc()
        self.copy_seconds[kind].observe(seconds)

    def copy_put_off(self, kind: str) -> None:
        """Count one copy that was not tried because its server is away and the other copy is certain."""
        self.copies.labels(kind, "put_off").inc()

    def late_receipts_ended(self, result: str, events: int) -> None:
        """Count late receipts that came to the same end."""
        self.late_receipts.labels(result).inc(events)

    def watch_late_receipts(self, waiting: Callable[[], int]) -> None:
        """Report how many late receipts wait, read at each scrape."""
        gauge = Gauge(
            "cashback_late_receipts_waiting",
            "Receipts that wait to be made, of events that have their message alone.",
            registry=self.registry,
        )
        gauge.set_function(waiting)

    def watch_circuit(self, kind: str, is_away: Callable[[], bool]) -> None:
        """Report whether the server of a kind of copy counts as away, read at each scrape."""
        self.copy_away.labels(kind).set_function(is_away)

    def watch_in_flight(self, makes: Callable[[], int]) -> None:
        """Report how many makes are being handled, read at each scrape."""
        gauge = Gauge("cashback_makes_in_flight", "Makes handled at this moment.", registry=self.registry)
        gauge.set_function(makes)

    def watch_keys(self, age_seconds: Callable[[], float | None]) -> None:
        """Report the age of BETCORE's keys, read at each scrape; +Inf while there are none."""
        gauge = Gauge(
            "cashback_keys_age_seconds",
            "Time since BETCORE's published keys were last fetched with success.",
            registry=self.registry,
        )

        def read() -> float:
            age = age_seconds()
            return float("inf") if age is None else age

        gauge.set_function(read)

    def watch_backlog(self, wait_seconds: Callable[[], float]) -> None:
        """Report how long a new event is expected to wait in the queue, read at each scrape."""
        gauge = Gauge(
            "cashback_expected_wait_seconds",
            "How long an event that arrives now is expected to wait in the queue.",
            registry=self.registry,
        )
        gauge.set_function(wait_seconds)

    def watch_pause(self, until_seconds: Callable[[], float]) -> None:
        """Report until when a person has closed the intake, read at each scrape."""
        gauge = Gauge(
            "cashback_intake_paused_until_seconds",
            "Until when a person has closed the intake, as Unix time; 0 while it is open.",
            registry=self.registry,
        )
        gauge.set_function(until_seconds)

    def key_fetched(self, result: str) -> None:
        """Count one fetch of the keys."""
        self.key_fetches.labels(result).inc()
