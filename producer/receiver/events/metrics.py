"""What is counted of partners' requests and events. Producers are those that have keys, and so few."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter

from producer.receiver.events.models import EventResult

NOBODY = "-"
"""Stands for the producer where a request brought no key that is known."""


class PartnerMetrics:
    """The metrics of partners, in the receiver's registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._events = Counter(
            "cashback_partner_events",
            "Events that partners handed in over HTTP, by result (accepted, duplicate, refused, "
            "unavailable).",
            ["producer", "result"],
            registry=registry,
        )
        self._not_taken = Counter(
            "cashback_partner_events_not_taken",
            "Those of them that were refused or unavailable, by reason.",
            ["producer", "reason"],
            registry=registry,
        )
        self._requests = Counter(
            "cashback_partner_requests",
            "Requests of partners, by outcome: ok, or why the whole of it was not taken.",
            ["producer", "outcome"],
            registry=registry,
        )

    def request_ended(self, producer: str, outcome: str) -> None:
        """Count a request."""
        self._requests.labels(producer, outcome).inc()

    def events_answered(self, producer: str, results: Iterable[EventResult]) -> None:
        """Count what events came to."""
        for each in results:
            self._events.labels(producer, each.result).inc()
            if each.result in {"refused", "unavailable"}:
                self._not_taken.labels(producer, each.reason).inc()
