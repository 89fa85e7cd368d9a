"""What a source may do at once and from then on, and how much is remembered of sources."""

from producer.receiver.http.buckets import MAX_SOURCES, Buckets


def test_a_full_bucket_is_taken_at_once_and_comes_back_bit_by_bit() -> None:
    buckets = Buckets(per_second=2, burst=3)

    assert [buckets.take("a", at=100.0) for _ in range(5)] == [True, True, True, False, False]
    assert [buckets.take("a", at=100.5) for _ in range(2)] == [True, False]
    assert [buckets.take("a", at=900.0) for _ in range(4)] == [True, True, True, False]


def test_each_source_has_a_bucket_of_its_own() -> None:
    buckets = Buckets(per_second=1, burst=1)

    assert [buckets.take(source, at=0.0) for source in ("a", "b", "a", "b")] == [True, True, False, False]


def test_whoever_takes_in_vain_does_not_wait_longer_for_it() -> None:
    buckets = Buckets(per_second=1, burst=1)
    for at in range(100):
        buckets.take("a", at=at / 100)

    assert buckets.take("a", at=1.0)


def test_however_many_sources_there_are_only_so_many_are_remembered() -> None:
    buckets = Buckets(per_second=1, burst=1)
    for number in range(2 * MAX_SOURCES):
        buckets.take(str(number), at=0.0)

    assert len(buckets) == MAX_SOURCES
    assert not buckets.take(str(2 * MAX_SOURCES - 1), at=0.0)
