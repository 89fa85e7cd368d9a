"""The `--since` option and its kind: a moment, or how long ago."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

import click

_AGO: Final = re.compile(r"(?P<count>[0-9]{1,9})(?P<unit>[smhd])")
_UNIT_SECONDS: Final = MappingProxyType({"s": 1, "m": 60, "h": 3_600, "d": 86_400})


def parse_since(text: str, *, now: datetime) -> datetime:
    """Read an ISO 8601 time, or an age such as `30m` that counts back from `now`; return it in UTC.

    A time without a zone is in UTC. Raises ValueError with a sentence for the operator.
    """
    ago = _AGO.fullmatch(text)
    try:
        if ago:
            return now - timedelta(seconds=int(ago["count"]) * _UNIT_SECONDS[ago["unit"]])
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!a} is no ISO 8601 time and no age such as 30m, 24h or 7d") from None


def since_option(meaning: str, name: str = "--since") -> Callable[[Any], Any]:
    """Return an option that takes a moment or an age and gives a time in UTC; `meaning` begins its help."""
    return click.option(
        name,
        callback=_moment,
        help=f"{meaning}: a time such as 2026-01-31T18:00Z (UTC where it names no zone), "
        "or 90s, 30m, 24h, 7d ago.",
    )


def duration_option(meaning: str, name: str, argument: str) -> Callable[[Any], Any]:
    """Return an option that takes a length of time and gives seconds; `meaning` begins its help."""
    return click.option(name, argument, callback=_seconds, help=f"{meaning}, such as 90s, 30m or 24h.")


def _seconds(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    length = _AGO.fullmatch(value)
    if length is None:
        raise click.BadParameter(f"{value!a} is no length of time such as 90s, 30m or 24h")
    return float(int(length["count"]) * _UNIT_SECONDS[length["unit"]])


def _moment(_context: click.Context, _parameter: click.Parameter, value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        return parse_since(value, now=datetime.now(UTC))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
