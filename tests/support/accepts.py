"""Accepts that were sent, as a worker puts them on record."""

from datetime import UTC, datetime, timedelta

from worker.domain.accepts import SentAccept

_BEGIN = datetime(2020, 1, 1, tzinfo=UTC)


def sent_accept(second: int, *, status: int | None = 503, code: int | None = None) -> SentAccept:
    """Return an accept that was sent at this second, and what came of it."""
    return SentAccept(
        sent_at=_BEGIN + timedelta(seconds=second),
        duration_ms=12,
        status=status,
        code=code,
        worker="here:1",
        detail=f"the one of second {second}",
    )
