"""The document: the table of operations and the models, as OpenAPI 3.1 has them."""

import json
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from producer.receiver.events.models import (
    MAX_EVENTS,
    MAX_EVENTS_BODY_BYTES,
    EventResults,
    EventShown,
    NewEvents,
    Problem,
)
from producer.receiver.http.body import BODY_TIMEOUT_SECONDS
from producer.receiver.http.protocol import MAX_HEAD_BYTES
from producer.receiver.openapi.models import Alive, Envelope, Readiness, Token, TokenObject
from producer.receiver.openapi.operations import OPERATIONS, Operation
from producer.receiver.openapi.replies import METHOD_NOT_ALLOWED, NOT_FOUND, Reply, Schema, reference

_MODELS: Final[tuple[type[BaseModel], ...]] = (
    *(Token, TokenObject, Envelope, Alive, Readiness),
    *(NewEvents, EventResults, EventShown, Problem),
)
_KEY: Final = "partnerKey"
_DESCRIPTION: Final = f"""\
BETCORE posts makes, partner services hand in events with a key, and everything else is for operators. Every
answer but that of `/metrics` is JSON.

A head has at most {MAX_HEAD_BYTES:,} bytes and {BODY_TIMEOUT_SECONDS:g} seconds
(`CASHBACK_REQUEST_TIMEOUT_SECONDS`), a body of make the same, and one of `/events` at most
{MAX_EVENTS_BODY_BYTES:,} bytes, {MAX_EVENTS:,} events and the same seconds. After 400 for what is no HTTP,
408, 413 and 431 the connection is closed. HEAD is answered wherever GET is. Any other path is answered
404 and any other method 405, in the same envelope, with the status as ErrorCode (components `NotFound` and
`MethodNotAllowed`); below `/events` in the form `Problem`.

What a partner answers to make is not published: statuses and ErrorCodes are to be confirmed with BETCORE.
"""


class _Plain(GenerateJsonSchema):
    """Without titles, which say the members' names once more."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002 - pydantic's own
        return False


def document() -> dict[str, Any]:
    """Return the document, always the same one."""
    operations = OPERATIONS.values()
    of_operations = [reply for each in operations for reply in each.replies.values()]
    paths: dict[str, Any] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "The receiver of the cashback worker",
            "version": "1",
            "license": {"name": "MIT", "identifier": "MIT"},
            "description": _DESCRIPTION,
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "responses": {
                reply.name: _reply(reply)
                for reply in (NOT_FOUND, METHOD_NOT_ALLOWED, *of_operations)
                if reply.name
            },
            "securitySchemes": {
                _KEY: {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The key of a producer (`CASHBACK_PARTNER_KEYS_FILE`).",
                }
            },
        },
    }


def rendered() -> str:
    """Return the document as it is served and published."""
    return json.dumps(document(), indent=2) + "\n"


def _operation(operation: Operation) -> dict[str, Any]:
    made: dict[str, Any] = {"operationId": operation.name, "summary": operation.summary}
    if operation.description:
        made["description"] = operation.description
    if operation.needs_key:
        made["security"] = [{_KEY: []}]
    if operation.parameters:
        made["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": schema}
            for name, schema in operation.parameters.items()
        ]
    if operation.body:
        content = {media_type: {"schema": _schema(schema)} for media_type, schema in operation.body.items()}
        made["requestBody"] = {"required": True, "content": content}
    made["responses"] = {
        str(status): {"$ref": f"#/components/responses/{reply.name}"} if reply.name else _reply(reply)
        for status, reply in sorted(operation.replies.items())
    }
    return made


def _reply(reply: Reply) -> dict[str, Any]:
    made: dict[str, Any] = {"description": reply.description}
    if reply.headers:
        made["headers"] = dict(reply.headers)
    return made | {"content": {reply.media_type: {"schema": _schema(reply.schema)}}}


def _schema(schema: Schema) -> dict[str, Any]:
    return reference(schema) if isinstance(schema, type) else dict(schema)


def _schemas() -> dict[str, Any]:
    # As they are sent: what has a default is left out by whoever likes.
    _, made = models_json_schema(
        [(model, "validation") for model in _MODELS],
        ref_template="#/components/schemas/{model}",
        schema_generator=_Plain,
    )
    return {name: _untitled(schema) for name, schema in sorted(made["$defs"].items())}


def _untitled(schema: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name != "title"}
