"""Accepts that were sent, as the SQL functions take them: the members of the type accept_attempt."""

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final
from uuid import UUID

from worker.domain.accepts import SentAccept, SentAccepts

SentByEvent = Mapping[UUID, SentAccepts]
NONE_SENT: Final[SentByEvent] = MappingProxyType({})


def accepts_json(sent: SentAccepts) -> str | None:
    """Return the accepts of one event; None where none was sent."""
    return json.dumps([_members_of(each) for each in sent]) if sent else None


def accepts_by_event(sent: Iterable[SentAccepts]) -> str:
    """Return the accepts of many events, side by side with their ids."""
    # One document, as for settle_events: see there.
    return json.dumps([{"accepts": [_members_of(each) for each in accepts] or None} for accepts in sent])


def _members_of(accept: SentAccept) -> dict[str, object]:
    return {
        "sent_at": accept.sent_at.isoformat(),
        "duration_ms": accept.duration_ms,
        "status": accept.status,
        "code": accept.code,
        "worker": accept.worker,
        "detail": accept.detail,
    }
