"""The table of what the receiver serves: routes are made of it, and the document."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.routing import Route
from starlette.types import ASGIApp

from producer.receiver.events.models import MAX_EVENTS, EventResults, EventShown, NewEvents, Problem
from producer.receiver.openapi.models import Alive, Envelope, Readiness, Token, TokenObject
from producer.receiver.openapi.replies import (
    EVENTS_TOO_LARGE,
    JSON,
    Reply,
    Schema,
    coded,
    event_reasons,
    make_replies,
    narrowed,
    one_of,
    partner_replies,
    server_replies,
)
from producer.receiver.paths import (
    ALIVE_PATH,
    DOCUMENT_PATH,
    EVENT_PATH,
    EVENTS_PATH,
    MAKE_PATH,
    METRICS_PATH,
    READY_PATH,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One thing that can be asked. `parameters` are those of the path, by name."""

    name: str
    method: str
    path: str
    summary: str
    description: str = ""
    body: Mapping[str, Schema] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    needs_key: bool = False
    replies: Mapping[int, Reply]


_MAKE: Final = Operation(
    name="make",
    method="POST",
    path=MAKE_PATH,
    summary="A signed make of BETCORE's",
    description="The token stands as a JSON string, as plain text, or as the member `token`, the only one, "
    "of a JSON object, whatever the Content-Type says. The same token may come again: it is the same event, "
    "and gets the same answer.",
    body={JSON: one_of(Token, TokenObject), "text/plain": Token},
    replies=make_replies(),
)
_REFUSED, _UNAVAILABLE = event_reasons()
_HAND_IN: Final = Operation(
    name="handIn",
    method="POST",
    path=EVENTS_PATH,
    summary="Makes that a partner service received, one or many",
    description=f"1 to {MAX_EVENTS:,} events, each answered by itself and in its place. The same token is "
    "the same event, so send again whenever in doubt. With another status than 200 nothing is known of any "
    "of them: mend the request, or send it again.",
    body={JSON: NewEvents},
    needs_key=True,
    replies={
        200: Reply(
            f"Each event with its result. Refused for: {', '.join(_REFUSED)}. Unavailable for: "
            f"{', '.join(_UNAVAILABLE)}.",
            EventResults,
        ),
        404: Reply("No partner has a key here, so there are no events.", coded(404), name="NoPartners"),
        413: EVENTS_TOO_LARGE,
        422: Reply("No object with a list of events.", Problem),
    }
    | partner_replies(),
)
_SHOW: Final = Operation(
    name="show",
    method="GET",
    path=EVENT_PATH,
    summary="How an event stands",
    description="An event that was accepted is not on record while PostgreSQL is away: ask again.",
    parameters={"event_id": {"type": "string", "format": "uuid"}},
    needs_key=True,
    replies={
        200: Reply("It is on record.", EventShown),
        404: Reply("It is not on record; or no partner has a key here.", one_of(Problem, coded(404))),
    }
    | partner_replies(),
)
_DOCUMENT: Final = Operation(
    name="document",
    method="GET",
    path=DOCUMENT_PATH,
    summary="This document",
    replies={200: Reply("It.", {"type": "object"})} | server_replies(),
)
_ALIVE: Final = Operation(
    name="alive",
    method="GET",
    path=ALIVE_PATH,
    summary="Whether the process answers",
    replies={200: Reply("It does.", Alive)} | server_replies(),
)
_READY: Final = Operation(
    name="ready",
    method="GET",
    path=READY_PATH,
    summary="Whether it can take makes",
    replies={200: Reply("It can.", narrowed(Readiness, "ready", value=True))}
    | server_replies()
    | {
        503: Reply(
            "It cannot, and `parts` says what is wrong; or there is no room for the connection.",
            one_of(narrowed(Readiness, "ready", value=False), Envelope),
        )
    },
)
_METRICS: Final = Operation(
    name="metrics",
    method="GET",
    path=METRICS_PATH,
    summary="Metrics for Prometheus",
    replies={200: Reply("In Prometheus' text format.", {"type": "string"}, media_type="text/plain")}
    | server_replies(),
)
OPERATIONS: Final[Mapping[str, Operation]] = {
    each.name: each for each in (_MAKE, _HAND_IN, _SHOW, _DOCUMENT, _ALIVE, _READY, _METRICS)
}


def route(name: str, endpoint: ASGIApp | Any) -> Route:  # noqa: ANN401 - Starlette's endpoints are of many kinds
    """Return the route of an operation."""
    operation = OPERATIONS[name]
    return Route(operation.path, endpoint, methods=[operation.method])
