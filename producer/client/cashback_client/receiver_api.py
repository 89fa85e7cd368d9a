"""What is said to a receiver, and what its replies mean: `POST /events` and `GET /events/{event_id}`."""

import json
from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from cashback_client.contract import SettleMessage
from cashback_client.errors import NotSubmitted, QuotaExceeded, Refused, StatusUnknown
from cashback_client.http_exchange import Reply
from cashback_client.submission import Outcome, Result

PATH: Final = "/events"

_NO_ACCESS: Final = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
# The same again gets the same.
_BAD_REQUEST: Final = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}
# Of a proxy's words no more than this is shown.
_MAX_DETAIL_CHARS: Final = 200


class EventStatus(BaseModel):
    """How an event stands, as its receipt has it.

    `state` is a state of docs/states.md, `code` the ErrorCode that BETCORE was or will be told.
    `unconfirmed`: money moved, and BETCORE has not acknowledged it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    event_id: UUID
    state: str
    code: int | None = None
    received_at: datetime | None = None
    settled_at: datetime | None = None
    closed_at: datetime | None = None
    unconfirmed: bool = False


class _Item(BaseModel):
    event_id: UUID
    result: Result
    reason: str | None = None
    detail: str | None = None


class _Items(BaseModel):
    events: list[_Item]


class _Error(BaseModel):
    reason: str = ""
    detail: str = ""


class _Failure(BaseModel):
    error: _Error


def events_body(messages: Sequence[SettleMessage]) -> bytes:
    """Return the body of `POST /events` for these messages."""
    events = [{"token": each.token, "received_at_ms": each.received_at_ms} for each in messages]
    return json.dumps({"events": events}, separators=(",", ":")).encode("ascii")


def outcomes_in(reply: Reply, messages: Sequence[SettleMessage]) -> list[Outcome]:
    """Return what became of each message; raises NotSubmitted, QuotaExceeded, or Refused for all of them."""
    if reply.status != HTTPStatus.OK:
        raise _not_submitted(reply)
    try:
        items = _Items.model_validate_json(reply.body).events
    except ValidationError as error:
        raise _broken("the receiver's answer cannot be read") from error
    if [item.event_id for item in items] != [message.event_id for message in messages]:
        raise _broken("the receiver's answer is about other events")
    return [
        Outcome(
            event_id=item.event_id, result=item.result, reason=item.reason or "", detail=item.detail or ""
        )
        for item in items
    ]


def status_in(reply: Reply, event_id: UUID) -> EventStatus | None:
    """Return how the event stands, None where the receiver has no record of it; raises StatusUnknown."""
    if reply.status == HTTPStatus.NOT_FOUND and _is_json(reply.body):
        return None
    if reply.status in _NO_ACCESS:
        raise StatusUnknown(_words(reply), reason="access_refused")
    if reply.status != HTTPStatus.OK:
        raise StatusUnknown(
            _words(reply), reason="unavailable", retry_after_seconds=reply.retry_after_seconds
        )
    try:
        status = EventStatus.model_validate_json(reply.body)
    except ValidationError as error:
        raise StatusUnknown("the receiver's answer cannot be read", reason="broken_reply") from error
    if status.event_id != event_id:
        raise StatusUnknown("the receiver's answer is about another event", reason="broken_reply")
    return status


def _not_submitted(reply: Reply) -> NotSubmitted | Refused:
    failure, words, after = _failure(reply), _words(reply), reply.retry_after_seconds
    if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
        return QuotaExceeded(words, retry_after_seconds=after)
    if reply.status in _NO_ACCESS:
        return NotSubmitted(words, reason="access_refused", may_be_there=False)
    if reply.status in _BAD_REQUEST and failure is not None:
        return Refused(failure.detail, reason=failure.reason or "bad_request")
    # What a proxy says of itself (502, 504) says nothing of the receiver behind it.
    is_certain = reply.status < HTTPStatus.INTERNAL_SERVER_ERROR
    return NotSubmitted(words, reason="unavailable", may_be_there=not is_certain, retry_after_seconds=after)


def _is_json(body: bytes) -> bool:
    """Whether a receiver's code wrote this, and not whoever stands where it is looked for."""
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True


def _broken(detail: str) -> NotSubmitted:
    return NotSubmitted(detail, reason="broken_reply", may_be_there=True)


def _failure(reply: Reply) -> _Error | None:
    try:
        return _Failure.model_validate_json(reply.body).error
    except ValidationError:
        return None


def _words(reply: Reply) -> str:
    failure = _failure(reply)
    said = f" {failure.reason}: {failure.detail}" if failure is not None else ""
    return f"the receiver answered {reply.status}{said[:_MAX_DETAIL_CHARS]}"
