"""What the receiver answers, in BETCORE's envelope.

| situation                                   | HTTP | ErrorCode |
|---------------------------------------------|------|-----------|
| received: at least one copy is certain      | 200  | 200       |
| no token, unreadable data, no CashbackId    | 400  | 103753 Request data error |
| the token is not good                       | 401  | 401       |
| the address may not send makes              | 403  | 403       |
| no such page, or another method             | 404, 405 | the same |
| the body came too slowly                    | 408  | 103753    |
| the body is too large                       | 413  | 103753    |
| what is no HTTP, a head too slow, too large | 400, 408, 431 | 103753, by `http.protocol` |
| nothing can be verified or copied, overload, pause | 503 | 102823 Error adding transaction |

The ErrorCodes are those of BETCORE's accept where one fits, and the HTTP status where none does. What a
partner should answer to make is not published, so this table is to be confirmed with BETCORE. However many of
them an address gets, an answer is never another one: it comes later (`http.failures`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from http import HTTPStatus
from typing import ClassVar, Final

from starlette.responses import JSONResponse

from cashback_client.contract import ErrorCode
from producer.protocol.errors import (
    KeysUnavailable,
    NotAToken,
    ProducerError,
    TooManyUnknownKeys,
    VerificationError,
)

RETRY_AFTER_SECONDS: Final = 1

# Errors have few texts; those with a detail in it come and go.
_KEPT: Final = 256
# Where no ErrorCode of BETCORE's fits.
_OWN_CODES: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class NotReceived(ProducerError):
    """The make was not received."""

    reason = "not_received"
    status: ClassVar[HTTPStatus] = HTTPStatus.BAD_REQUEST
    retry_after_seconds: int = RETRY_AFTER_SECONDS


class NotAllowed(NotReceived):
    """Makes may not come from this address."""

    reason = "not_allowed"
    status = HTTPStatus.FORBIDDEN


class BodyTooLarge(NotReceived):
    """The body is too large."""

    reason = "body_too_large"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class BodyTooSlow(NotReceived):
    """The body did not arrive in time."""

    reason = "body_too_slow"
    status = HTTPStatus.REQUEST_TIMEOUT


class ClientGone(NotReceived):
    """The caller went away before its body had arrived."""

    reason = "client_gone"


class DataUnreadable(NotReceived):
    """The token's data cannot be read."""

    reason = "data_unreadable"


class NoCashbackId(NotReceived):
    """The token's data carries no CashbackId."""

    reason = "no_cashback_id"


class Overloaded(NotReceived):
    """Too many makes are being handled at once; send it again."""

    reason = "overload"
    status = HTTPStatus.SERVICE_UNAVAILABLE


class BacklogTooLong(NotReceived):
    """The queue is too long for this make to be credited in time; send it again."""

    reason = "backlog"
    status = HTTPStatus.SERVICE_UNAVAILABLE


class IntakePaused(NotReceived):
    """The intake is closed for planned work; send it again."""

    reason = "paused"
    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, *, retry_after_seconds: int = RETRY_AFTER_SECONDS) -> None:
        super().__init__()
        self.retry_after_seconds = retry_after_seconds


class NoCopyMade(NotReceived):
    """The make could not be stored; send it again."""

    reason = "no_copy"
    status = HTTPStatus.SERVICE_UNAVAILABLE


class Internal(NotReceived):
    """The make could not be handled; send it again."""

    reason = "internal"
    status = HTTPStatus.SERVICE_UNAVAILABLE


@dataclass(frozen=True)
class Answer:
    """One reply: the HTTP status and BETCORE's envelope, and how it is counted.

    `is_unverified`: what was sent is nothing that BETCORE signed for us, as far as can be told.
    """

    status: int
    error_code: int
    message: str
    outcome: str
    reason: str
    headers: Mapping[str, str] = field(default_factory=dict)
    is_unverified: bool = False

    def response(self) -> JSONResponse:
        """Return the reply as an HTTP response, always the same one."""
        return self._response

    @cached_property
    def _response(self) -> JSONResponse:
        return JSONResponse(
            {"ErrorCode": int(self.error_code), "Message": self.message},
            status_code=self.status,
            headers=dict(self.headers),
        )


RECEIVED: Final = Answer(HTTPStatus.OK, ErrorCode.SUCCESS, "Success", "received", "ok")


def answer_to(error: NotReceived | VerificationError) -> Answer:
    """Return the answer to a make that was not received, as the table above says."""
    retry_after_seconds = error.retry_after_seconds if isinstance(error, NotReceived) else RETRY_AFTER_SECONDS
    return _answer(type(error), str(error), retry_after_seconds)  # type: ignore[arg-type]  # classes are hashable


@lru_cache(maxsize=_KEPT)
def _answer(kind: type[NotReceived | VerificationError], message: str, retry_after_seconds: int) -> Answer:
    status = _status_of(kind)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        code, outcome = int(ErrorCode.ERROR_ADDING_TRANSACTION), "unavailable"
        headers = {"Retry-After": str(retry_after_seconds)}
    else:
        code, outcome, headers = int(ErrorCode.REQUEST_DATA_ERROR), "rejected", {}
    if status in _OWN_CODES:
        code = int(status)
    return Answer(status, code, message, outcome, kind.reason, headers, _is_unverified(kind))


def raw_reply(status: HTTPStatus, code: ErrorCode) -> bytes:
    """Return an answer to what is no request, which is the last one of its connection."""
    body = json.dumps({"ErrorCode": int(code), "Message": status.phrase})
    return (
        f"HTTP/1.1 {int(status)} {status.phrase}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n{body}"
    ).encode("ascii")


def _status_of(kind: type[NotReceived | VerificationError]) -> HTTPStatus:
    if issubclass(kind, NotReceived):
        return kind.status
    if issubclass(kind, KeysUnavailable):
        return HTTPStatus.SERVICE_UNAVAILABLE
    return HTTPStatus.BAD_REQUEST if issubclass(kind, NotAToken) else HTTPStatus.UNAUTHORIZED


def _is_unverified(kind: type[NotReceived | VerificationError]) -> bool:
    # While the keys cannot be had that is no fault of who sends.
    if issubclass(kind, KeysUnavailable):
        return issubclass(kind, TooManyUnknownKeys)
    return issubclass(kind, VerificationError | NotAllowed)
