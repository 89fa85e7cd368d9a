"""What is read of a partner's body: the whole within bounds, and each event by itself."""

from typing import Final

from pydantic import ValidationError

from producer.receiver.events.errors import BadBody, BadEvent, NotEvents
from producer.receiver.events.models import MAX_EVENTS, NewEvent, NewEvents

# A body of 1,000 events has a few for each. What holds many more is not read: it would hold up the makes.
_MAX_SIGNS: Final = 20 * MAX_EVENTS
_SIGNS: Final = (b",", b":", b"[", b"{")
_MAX_MEMBERS: Final = 8
# Names of members are the sender's.
_MAX_DETAIL_CHARS: Final = 300


def events_in(body: bytes) -> list[object]:
    """Return the events of a body, not yet looked at; raises BadBody or NotEvents."""
    if sum(body.count(sign) for sign in _SIGNS) > _MAX_SIGNS:
        raise NotEvents
    try:
        return list(NewEvents.model_validate_json(body).events)
    except ValidationError as error:
        [fault, *_] = error.errors()
        if fault["type"] == "json_invalid":
            raise BadBody(f"the body is no JSON in UTF-8: {fault['msg'].partition(': ')[2]}") from None
        where = ".".join(map(str, fault["loc"])) or "the body"
        raise NotEvents(f"{where}: {fault['msg']}"[:_MAX_DETAIL_CHARS]) from None


def event_in(item: object) -> NewEvent:
    """Return the event that an item is; raises BadEvent."""
    if isinstance(item, dict) and len(item) > _MAX_MEMBERS:
        raise BadEvent
    try:
        return NewEvent.model_validate(item)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, fault['loc'])) or 'all of it'}: {fault['msg']}" for fault in error.errors()
        ]
        raise BadEvent(f"this is no event: {'; '.join(faults)}"[:_MAX_DETAIL_CHARS]) from None
