"""The period of a reconciliation: days as clocks have them, moments with a zone, and what is refused."""

from datetime import UTC, date, datetime

import pytest
from click.testing import CliRunner

from worker.cli import cashback
from worker.reconciliation.period import Period, day_of, read_moment, read_zone


@pytest.mark.parametrize(
    ("day", "zone", "since", "until"),
    [
        ("2026-11-25", "UTC", "2026-11-25T00:00Z", "2026-11-26T00:00Z"),
        ("2026-11-25", "Europe/Berlin", "2026-11-24T23:00Z", "2026-11-25T23:00Z"),
        ("2026-03-29", "Europe/Berlin", "2026-03-28T23:00Z", "2026-03-29T22:00Z"),
        ("2026-10-25", "Europe/Berlin", "2026-10-24T22:00Z", "2026-10-25T23:00Z"),
    ],
    ids=["utc", "winter", "23 hours", "25 hours"],
)
def test_a_day_is_as_long_as_its_clocks_have_it(day: str, zone: str, since: str, until: str) -> None:
    assert day_of(date.fromisoformat(day), read_zone(zone)) == Period(
        since=datetime.fromisoformat(since), until=datetime.fromisoformat(until)
    )


def test_a_moment_needs_a_zone() -> None:
    assert read_moment("2026-11-25T00:00+01:00") == datetime(2026, 11, 24, 23, tzinfo=UTC)
    for text in ("2026-11-25T00:00", "2026-11-25", "yesterday", ""):
        with pytest.raises(ValueError, match="no ISO 8601 time with a zone"):
            read_moment(text)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--day", "25.11.2026"], "is no date"),
        (["--timezone", "Mars/Olympus"], "is no time zone"),
        (["--timezone", "../../etc/passwd"], "is no time zone"),
        (["--until", "2026-11-25T00:00Z"], "--until needs --from"),
        (["--from", "2026-11-25T00:00Z", "--day", "2026-11-25"], "not both"),
        (["--from", "2026-11-25T00:00Z", "--until", "2026-11-25T00:00Z"], "ends before it begins"),
        (["--from", "2026-11-25T00:00"], "with a zone"),
    ],
    ids=lambda value: None if isinstance(value, str) else " ".join(value),
)
def test_a_wrong_use_ends_with_2(arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(cashback, ["reconcile", *arguments])

    assert result.exit_code == 2
    assert says in result.stderr
