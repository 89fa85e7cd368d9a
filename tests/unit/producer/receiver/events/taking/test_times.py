"""The caller's time of receipt counts, within bounds."""

import pytest

from producer.receiver.events.errors import ReceivedAhead, TooLate
from producer.receiver.events.taking.times import ReceiptTimes

TIMES = ReceiptTimes(ahead_ms=5_000, deadline_ms=30_000)
NOW_MS = 1_800_000_000_000


@pytest.mark.parametrize(
    ("said_ms", "received_at_ms"),
    [
        (None, NOW_MS),
        (NOW_MS - 1, NOW_MS - 1),
        (NOW_MS - 29_999, NOW_MS - 29_999),
        (NOW_MS, NOW_MS),
        # A clock that runs ahead gains no time by it.
        (NOW_MS + 5_000, NOW_MS),
    ],
)
def test_forwarding_does_not_restart_the_time(said_ms: int | None, received_at_ms: int) -> None:
    assert TIMES.received_at_ms(said_ms, now_ms=NOW_MS) == received_at_ms


@pytest.mark.parametrize(
    ("said_ms", "error", "why"),
    [
        (NOW_MS + 5_001, ReceivedAhead, "5001 ms ahead"),
        (NOW_MS - 30_000, TooLate, "30000 ms back"),
        (0, TooLate, "ms back"),
        (NOW_MS // 1000, TooLate, "looks like seconds"),
        (NOW_MS * 1000, ReceivedAhead, "looks like microseconds"),
        (NOW_MS * 1_000_000, ReceivedAhead, "looks like nanoseconds"),
        (10**400, ReceivedAhead, "ahead"),
    ],
    ids=["ahead", "late", "zero", "seconds", "microseconds", "nanoseconds", "huge"],
)
def test_what_is_out_of_bounds_is_refused_with_what_to_do(
    said_ms: int, error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why):
        TIMES.received_at_ms(said_ms, now_ms=NOW_MS)
