"""What partners may do, all of them together and each."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerLimits:
    """What partners may do.

    `events_per_second` is for producers whose keys say nothing else. Of `requests_at_once` one producer has
    half. `events_in_flight` are being copied at once, `looks_at_once` asked for on record.
    """

    events_per_second: float
    requests_at_once: int
    events_in_flight: int
    looks_at_once: int
    body_timeout_seconds: float
    lookup_timeout_seconds: float
    record_timeout_seconds: float

    @property
    def requests_of_one(self) -> int:
        """How many requests of one producer there may be at once."""
        return max(1, self.requests_at_once // 2)
