"""The period that is looked at: a day in a time zone, or from one moment until another. Pure."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """From `since` (with it) until `until` (without it), both in UTC."""

    since: datetime
    until: datetime


def day_of(day: date, zone: ZoneInfo) -> Period:
    """Return a day as its clocks have it: 23 or 25 hours where they are changed."""
    start, end = (datetime.combine(each, time(), tzinfo=zone) for each in (day, day + timedelta(days=1)))
    return Period(since=start.astimezone(UTC), until=end.astimezone(UTC))


def read_zone(name: str) -> ZoneInfo:
    """Return a time zone by its name; raises ValueError with a sentence for the operator."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!a} is no time zone: give a name such as UTC or Europe/Berlin") from None


def read_moment(text: str) -> datetime:
    """Return an ISO 8601 time in UTC; raises ValueError with a sentence, also where it names no zone."""
    try:
        moment = datetime.fromisoformat(text)
        in_utc = moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        in_utc = None
    if in_utc is None:
        raise ValueError(
            f"{text!a} is no ISO 8601 time with a zone: write 2026-11-25T00:00+01:00 or 2026-11-24T23:00Z"
        )
    return in_utc
