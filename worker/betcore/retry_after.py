"""How long a server asks to be left alone (RFC 9110, 10.2.3). Pure."""

from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

# Whoever asks for more gets this: no event lives longer than some times of it.
LONGEST_SECONDS: Final = 60.0
_ASKING: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_MAX_CHARS: Final = 40


def retry_after_seconds(status: int, header: str | None, *, now: float) -> float:
    """Return how long to wait after an answer of this status; `now` in Unix seconds. 0: nothing was asked.

    The header counts with 429 and 503 alone. It is a number of seconds or a date; all else counts as none.
    """
    if status not in _ASKING or header is None or len(header) > _MAX_CHARS:
        return 0.0
    text = header.strip()
    if text.isascii() and text.isdigit():
        return min(LONGEST_SECONDS, float(text))
    try:
        moment = parsedate_to_datetime(text)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return min(LONGEST_SECONDS, max(0.0, aware.timestamp() - now))
    except (ValueError, TypeError, OverflowError):
        return 0.0
