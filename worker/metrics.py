"""The worker's metrics; every label value is one of a fixed set."""

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 20, 25, 30)


@dataclass(frozen=True, slots=True)
class Metrics:
    """Counters and histograms of one worker process, in a registry of their own."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    settled: Counter = field(init=False)
    ended: Counter = field(init=False)
    retried: Counter = field(init=False)
    accepts: Counter = field(init=False)
    settle_seconds: Histogram = field(init=False)
    accept_seconds: Histogram = field(init=False)
    answer_seconds: Histogram = field(init=False)

    def __post_init__(self) -> None:
        registry = self.registry
        made = {
            "settled": Counter("cashback_settled_total", "Settlements by ErrorCode", ["code"], registry=registry),
            "ended": Counter("cashback_ended_total", "Events by their end", ["state"], registry=registry),
            "retried": Counter("cashback_retried_total", "Attempts put off, by reason", ["reason"], registry=registry),
            "accepts": Counter("cashback_accepts_total", "Accept attempts by verdict", ["verdict"], registry=registry),
            "settle_seconds": Histogram(
                "cashback_settle_seconds", "Time of one ledger call", buckets=_SECONDS, registry=registry
            ),
            "accept_seconds": Histogram(
                "cashback_accept_seconds", "Time of one accept attempt", buckets=_SECONDS, registry=registry
            ),
            "answer_seconds": Histogram(
                "cashback_answer_seconds", "From receipt to BETCORE's acknowledgement", buckets=_SECONDS, registry=registry
            ),
        }
        for name, metric in made.items():
            object.__setattr__(self, name, metric)

    def serve(self, port: int) -> None:
        """Serve `/metrics` on `port` from a background thread."""
        start_http_server(port, registry=self.registry)
