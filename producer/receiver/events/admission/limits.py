"""What partners may do, all of them together and each."""

from dataclasses import dataclass
from typing import Final

from producer.receiver.events.admission.keys import Partner
from producer.receiver.http.buckets import Rate

BURST_SECONDS: Final = 2.0
"""A bucket of a partner's holds what comes back in this time, but never less than one full request."""


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

    def quota_of(self, partner: Partner, *, least_burst: int) -> Rate:
        """Return how many a second a partner may, and how many at once: `least_burst` at least."""
        per_second = partner.events_per_second or self.events_per_second
        return Rate(per_second, max(BURST_SECONDS * per_second, least_burst))

    @property
    def requests_of_one(self) -> int:
        """How many requests of one producer there may be at once."""
        return max(1, self.requests_at_once // 2)
