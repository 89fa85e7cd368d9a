"""The answers of the document, and which of them the receiver's errors lead to."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel

from cashback_client.contract import ErrorCode
from producer.protocol.errors import VerificationError
from producer.receiver.answers import (
    RECEIVED,
    DataUnreadable,
    Internal,
    NoCashbackId,
    NoCopyMade,
    NotReceived,
    answer_to,
)
from producer.receiver.events.errors import UNAVAILABLE, EventRefused
from producer.receiver.events.models import MAX_EVENTS_BODY_BYTES, Problem
from producer.receiver.http.body import MAX_BODY_BYTES
from producer.receiver.http.protocol import MAX_HEAD_BYTES
from producer.receiver.openapi.models import Envelope

Schema = type[BaseModel] | Mapping[str, Any]

JSON: Final = "application/json"
RETRY_AFTER: Final = {
    "Retry-After": {"description": "In seconds.", "schema": {"type": "integer", "minimum": 1}}
}


def reference(model: type[BaseModel]) -> dict[str, str]:
    """Return the reference to a model's schema."""
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def narrowed(model: type[BaseModel], name: str, *, value: object) -> dict[str, Any]:
    """Return the schema of a model one of whose members has this value."""
    return {"allOf": [reference(model), {"properties": {name: {"const": value}}}]}


def coded(code: int) -> dict[str, Any]:
    """Return the schema of BETCORE's envelope with this code."""
    return narrowed(Envelope, "ErrorCode", value=int(code))


def one_of(*schemas: Schema) -> dict[str, Any]:
    """Return the schema of what is one of these."""
    return {"oneOf": [reference(each) if isinstance(each, type) else each for each in schemas]}


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. With a `name` it stands among the document's components."""

    description: str
    schema: Schema
    media_type: str = JSON
    headers: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""


MAKE_SAYS: Final[Mapping[int, tuple[str, str]]] = {
    200: ("Received", "Received; at least one copy of the event is certain."),
    400: ("RequestDataError", "No token, data that cannot be read, no CashbackId; or no HTTP."),
    401: ("NotVerified", "The token is not BETCORE's, not for us, or not of this moment."),
    403: ("NotAllowed", "Makes may not come from this address (`CASHBACK_ALLOWED_NETWORKS`)."),
    408: ("TooSlow", "The head or the body came too slowly."),
    413: ("TooLarge", f"The body has more than {MAX_BODY_BYTES:,} bytes."),
    503: (
        "Unavailable",
        (
            "Nothing can be verified or copied now, or there is too much to do: send it again. Without "
            "`Retry-After` there was no room for the connection."
        ),
    ),
}
HEAD_TOO_LARGE: Final = Reply(
    f"The head has more than {MAX_HEAD_BYTES:,} bytes.",
    coded(ErrorCode.REQUEST_DATA_ERROR),
    name="HeadTooLarge",
)
NOT_FOUND: Final = Reply("No such path.", one_of(coded(404), Problem), name="NotFound")
METHOD_NOT_ALLOWED: Final = Reply(
    "Another method than the path has; `Allow` names them.",
    one_of(coded(405), Problem),
    headers={"Allow": {"required": True, "schema": {"type": "string"}}},
    name="MethodNotAllowed",
)


def event_reasons() -> tuple[list[str], list[str]]:
    """Return for what reasons an event is refused, and for what it is unavailable."""
    trees = [*_tree_of(EventRefused), *_tree_of(VerificationError)]
    errors: set[type[Any]] = {*trees, DataUnreadable, NoCashbackId, NoCopyMade, Internal}
    errors -= {EventRefused, VerificationError}
    passing = {each.reason for each in errors if issubclass(each, UNAVAILABLE)}
    return sorted({each.reason for each in errors} - passing), sorted(passing)


def make_replies() -> dict[int, Reply]:
    """Return each answer to make that the errors of the code lead to. An error without words fails."""
    errors = [*_tree_of(NotReceived), *_tree_of(VerificationError)]
    codes = {int(answer.status): answer.error_code for answer in (RECEIVED, *map(_answer, errors))}
    replies = {}
    for status, code in sorted(codes.items()):
        name, description = MAKE_SAYS[status]
        headers = RETRY_AFTER if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
        replies[status] = Reply(description, coded(code), headers=headers, name=name)
    return replies | {431: HEAD_TOO_LARGE}


def server_replies() -> dict[int, Reply]:
    """Return what the server itself answers, whatever the path."""
    of_make = make_replies()
    return {status: of_make[status] for status in (400, 408, 431, 503)}


def partner_replies() -> dict[int, Reply]:
    """Return what both operations of partners answer beside what they are asked for."""
    data_error, unavailable = coded(ErrorCode.REQUEST_DATA_ERROR), coded(ErrorCode.ERROR_ADDING_TRANSACTION)
    return {
        400: Reply("No JSON in UTF-8; or no HTTP.", one_of(Problem, data_error), name="BadBody"),
        401: Reply(
            "No key, or none that is known.",
            Problem,
            headers={"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}},
            name="BadKey",
        ),
        408: Reply(
            "The head or the body came too slowly.", one_of(Problem, data_error), name="EventsTooSlow"
        ),
        429: Reply(
            "More than the key allows; `Retry-After` says when so much is allowed.",
            Problem,
            headers={"Retry-After": RETRY_AFTER["Retry-After"] | {"required": True}},
            name="QuotaSpent",
        ),
        431: HEAD_TOO_LARGE,
        503: Reply(
            "PostgreSQL cannot be asked, or there is too much to do: send it again.",
            one_of(Problem, unavailable),
            headers=RETRY_AFTER,
            name="EventsUnavailable",
        ),
    }


EVENTS_TOO_LARGE: Final = Reply(f"The body has more than {MAX_EVENTS_BODY_BYTES:,} bytes.", Problem)


def _tree_of(error: type[Any]) -> Iterator[type[Any]]:
    yield error
    for each in error.__subclasses__():
        yield from _tree_of(each)


def _answer(error: type[Any]) -> Any:  # noqa: ANN401 - of whichever tree
    return answer_to(error())
