"""What a source may do at once and from then on, and how much is remembered of sources."""

import pytest

from producer.receiver.http.buckets import MAX_SOURCES, Buckets, Rate

ONE = Rate(per_second=1, burst=1)


def test_a_full_bucket_is_taken_at_once_and_comes_back_bit_by_bit() -> None:
    buckets, rate = Buckets(), Rate(per_second=2, burst=3)

    assert [buckets.take("a", rate, at=100.0) for _ in range(5)] == [0, 0, 0, 0.5, 0.5]
    assert [buckets.take("a", rate, at=100.5) for _ in range(2)] == [0, 0.5]
    assert [buckets.take("a", rate, at=900.0) for _ in range(4)] == [0, 0, 0, 0.5]


def test_many_are_taken_together_or_none() -> None:
    buckets, rate = Buckets(), Rate(per_second=10, burst=1_000)

    assert buckets.take("a", rate, tokens=1_000, at=0) == 0
    assert buckets.take("a", rate, tokens=1, at=0) == pytest.approx(0.1)
    assert buckets.take("a", rate, tokens=500, at=20) == pytest.approx(30)
    assert buckets.take("a", rate, tokens=500, at=50) == 0
    assert buckets.wait_seconds("a", rate, at=50) > 0


def test_each_source_has_a_bucket_of_its_own() -> None:
    buckets = Buckets()

    assert [buckets.take(source, ONE, at=0.0) for source in ("a", "b", "a", "b")] == [0, 0, 1, 1]


def test_whoever_takes_in_vain_does_not_wait_longer_for_it() -> None:
    buckets = Buckets()
    for at in range(100):
        buckets.take("a", ONE, at=at / 100)
        assert buckets.take("a", ONE, tokens=2, at=at / 100) > 1

    assert buckets.take("a", ONE, at=1.0) == 0


def test_to_look_takes_nothing_and_remembers_nobody() -> None:
    buckets = Buckets()

    assert [buckets.wait_seconds("a", ONE, at=0.0) for _ in range(2)] == [0, 0]
    assert len(buckets) == 0


def test_however_many_sources_there_are_only_so_many_are_remembered() -> None:
    buckets = Buckets()
    for number in range(2 * MAX_SOURCES):
        buckets.take(str(number), ONE, at=0.0)

    assert len(buckets) == MAX_SOURCES
    assert buckets.take(str(2 * MAX_SOURCES - 1), ONE, at=0.0)
