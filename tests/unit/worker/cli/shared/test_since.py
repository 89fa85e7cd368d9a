"""The --since option."""

from datetime import UTC, datetime, timedelta

import pytest

from worker.cli.shared.since import parse_since

NOW = datetime(2026, 3, 1, 12, 0, 0, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("24h", timedelta(days=1)),
        ("7d", timedelta(days=7)),
        ("0s", timedelta(0)),
    ],
)
def test_an_age_counts_back_from_now(text: str, age: timedelta) -> None:
    assert parse_since(text, now=NOW) == NOW - age


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T18:00", datetime(2026, 1, 31, 18, tzinfo=UTC)),
        ("2026-01-31T18:00Z", datetime(2026, 1, 31, 18, tzinfo=UTC)),
        ("2026-01-31T18:00:00.250+02:00", datetime(2026, 1, 31, 16, 0, 0, 250_000, tzinfo=UTC)),
    ],
)
def test_a_time_is_in_utc_unless_it_names_its_zone(text: str, moment: datetime) -> None:
    assert parse_since(text, now=NOW) == moment


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "30", "30M", "-30m", "1.5h", "999999999d", "2026-13-01", "0001-01-01T00:00+02:00"],
)
def test_anything_else_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no ISO 8601 time and no age such as 30m, 24h or 7d"):
        parse_since(text, now=NOW)
