"""How much a partner may: what its key says, or else the setting, and one full request at least."""

from dataclasses import replace

import pytest

from producer.receiver.events.admission.keys import Partner
from producer.receiver.events.admission.limits import PartnerLimits
from producer.receiver.http.buckets import Rate

LIMITS = PartnerLimits(
    events_per_second=200,
    requests_at_once=8,
    events_in_flight=1,
    looks_at_once=1,
    body_timeout_seconds=1,
    lookup_timeout_seconds=1,
    record_timeout_seconds=1,
)


@pytest.mark.parametrize(
    ("of_its_key", "quota"),
    [(None, Rate(200, 1_000)), (10, Rate(10, 1_000)), (10_000, Rate(10_000, 20_000))],
)
def test_a_bucket_holds_two_seconds_of_a_partners_rate_and_one_full_request_at_least(
    of_its_key: float | None, quota: Rate
) -> None:
    assert LIMITS.quota_of(Partner("edge", of_its_key), least_burst=1_000) == quota


@pytest.mark.parametrize(("at_once", "of_one"), [(8, 4), (3, 1), (1, 1)])
def test_one_partner_has_half_of_the_places(at_once: int, of_one: int) -> None:
    limits = replace(LIMITS, requests_at_once=at_once)

    assert limits.requests_of_one == of_one
