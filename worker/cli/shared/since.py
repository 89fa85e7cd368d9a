"""The `--since` option: a moment, or how long ago. Pure."""

import re
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

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
