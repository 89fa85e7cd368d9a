"""What a partner's request, or one event of it, came to where it was not taken."""

from http import HTTPStatus
from typing import ClassVar, Final

from producer.protocol.errors import KeysUnavailable, ProducerError
from producer.receiver.answers import RETRY_AFTER_SECONDS, Internal, NoCopyMade

UNAVAILABLE: Final = (KeysUnavailable, NoCopyMade, Internal)
"""What says nothing against an event: it is to be sent again. All else is final."""


class RequestRefused(ProducerError):
    """The request was not taken, and nothing of it was."""

    reason = "request_refused"
    status: ClassVar[HTTPStatus] = HTTPStatus.BAD_REQUEST
    retry_after_seconds: int = RETRY_AFTER_SECONDS


class BadKey(RequestRefused):
    """The header Authorization holds no key that is known: it is Bearer and the key."""

    reason = "bad_key"
    status = HTTPStatus.UNAUTHORIZED


class BadBody(RequestRefused):
    """The body is no JSON in UTF-8."""

    reason = "bad_body"


class NotEvents(RequestRefused):
    """The body is no object with a list of 1 to 1,000 events."""

    reason = "not_events"
    status = HTTPStatus.UNPROCESSABLE_ENTITY


class QuotaSpent(RequestRefused):
    """This producer sends more than its key allows."""

    reason = "quota"
    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, *, retry_after_seconds: int) -> None:
        super().__init__()
        self.retry_after_seconds = retry_after_seconds


class NotOnRecord(RequestRefused):
    """No event with this id is on record."""

    reason = "not_on_record"
    status = HTTPStatus.NOT_FOUND


class RecordAway(RequestRefused):
    """PostgreSQL cannot be asked now; ask again."""

    reason = "record_away"
    status = HTTPStatus.SERVICE_UNAVAILABLE


class EventRefused(ProducerError):
    """This event was not taken, and will not be: sending it again does not help."""

    reason = "event_refused"


class BadEvent(EventRefused):
    """This is no event: it has a token and perhaps received_at_ms, and nothing else."""

    reason = "bad_event"


class ReceivedAhead(EventRefused):
    """received_at_ms lies in the future."""

    reason = "received_ahead"


class TooLate(EventRefused):
    """BETCORE's time for this event is over."""

    reason = "too_late"
