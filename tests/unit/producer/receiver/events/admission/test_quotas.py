"""How many events a producer may hand in: many at once, steadily, and no neighbour's."""

import pytest

from producer.receiver.events.admission.quotas import BURST_SECONDS, Quotas


def test_a_full_bucket_gives_what_it_holds_and_then_what_comes_back() -> None:
    quotas = Quotas(least_burst=1_000)

    # 10 a second: one full request, and the next one when its events have come back.
    assert quotas.take("edge", per_second=10, tokens=1_000, at=0) == 0
    assert quotas.take("edge", per_second=10, tokens=1, at=0) == pytest.approx(0.1)
    assert quotas.take("edge", per_second=10, tokens=500, at=20) == pytest.approx(30)
    assert quotas.take("edge", per_second=10, tokens=500, at=50) == 0
    assert quotas.wait_seconds("edge", per_second=10, tokens=1, at=50) > 0


def test_what_is_refused_takes_nothing() -> None:
    quotas = Quotas(least_burst=10)

    for _ in range(5):
        assert quotas.take("edge", per_second=1, tokens=11, at=0) == pytest.approx(1)
        assert quotas.wait_seconds("edge", per_second=1, tokens=10, at=0) == 0
    assert quotas.take("edge", per_second=1, tokens=10, at=0) == 0


def test_a_fast_producer_has_a_larger_bucket() -> None:
    quotas = Quotas(least_burst=1_000)
    burst = int(10_000 * BURST_SECONDS)

    assert quotas.take("edge", per_second=10_000, tokens=burst, at=0) == 0
    assert quotas.take("edge", per_second=10_000, tokens=1_000, at=0) == pytest.approx(0.1)


def test_one_producer_spends_nothing_of_another() -> None:
    quotas = Quotas(least_burst=10)

    assert quotas.take("edge", per_second=1, tokens=10, at=0) == 0
    assert quotas.take("mobile", per_second=1, tokens=10, at=0) == 0
    assert quotas.take("edge", per_second=1, tokens=1, at=0) > 0
