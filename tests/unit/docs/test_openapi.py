"""docs/contract/openapi.json is made from the code, and says what that answers."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from starlette.routing import Route

from cashback_client.contract import MAX_TOKEN_CHARS
from producer.app import MAKE_PATH, build_app
from producer.protocol.errors import VerificationError
from producer.receiver.answers import RECEIVED, NotReceived, answer_to
from producer.receiver.http.body import BODY_TIMEOUT_SECONDS, MAX_BODY_BYTES
from producer.receiver.http.protocol import MAX_HEAD_BYTES
from producer.receiver.openapi.document import rendered
from producer.shared.settings.receiver import ReceiverSettings
from tests.support.openapi import PAPER, Document
from tests.support.partner_keys import KEYS

# Answered by the server itself, whatever the path: what is no HTTP, a head too slow, one too large, no room.
OF_THE_SERVER = {400, 408, 431, 503}


@pytest.fixture(scope="module")
def document() -> Document:
    return Document()


def tree_of(error: type[Exception]) -> Iterator[type[Any]]:
    yield error
    for each in error.__subclasses__():
        yield from tree_of(each)


def code_in(document: Document, response: dict[str, Any]) -> int:
    schema = response["content"]["application/json"]["schema"]
    envelope, code = schema["allOf"]
    assert document.resolved(envelope)["required"] == ["ErrorCode", "Message"]
    return int(code["properties"]["ErrorCode"]["const"])


def routes() -> list[Route]:
    """Return the routes of the application, which has connected to nothing."""
    urls = {"redis_url": "redis://x", "database_url": "postgresql://x", "betcore_url": "https://x"}
    believed = {"token_client_id": "x", "partner_keys": KEYS, "partners": "edge,mobile"}
    app: Any = build_app(ReceiverSettings.model_validate(urls | believed))
    return [route for route in app._application.routes if isinstance(route, Route)]  # noqa: SLF001


def test_it_is_the_one_that_the_code_makes() -> None:
    assert PAPER.read_text("utf-8") == rendered(), (
        "run: python -m producer.receiver.openapi > docs/contract/openapi.json"
    )


def test_each_route_and_method_is_there(document: Document) -> None:
    served = {(method, route.path) for route in routes() for method in route.methods or ()}

    # HEAD is answered wherever GET is, and said so once.
    assert {(method, path) for method, path in served if method != "HEAD"} == set(document.operations())


def test_each_answer_of_make_is_there_with_its_error_code(document: Document) -> None:
    errors = [*tree_of(NotReceived), *tree_of(VerificationError)]
    answers = [RECEIVED, *(answer_to(error()) for error in errors)]

    expected = {int(answer.status): int(answer.error_code) for answer in answers}
    said = {
        status: code_in(document, document.response("POST", MAKE_PATH, status))
        for status in document.statuses("POST", MAKE_PATH)
    }
    # What the server itself answers has ErrorCodes of the same table.
    assert said == expected | {431: 103753}
    assert {int(answer.status) for answer in answers if answer.headers} == {503}


def test_what_the_server_itself_answers_is_said_of_each_operation(document: Document) -> None:
    for method, path in document.operations():
        assert document.statuses(method, path) >= OF_THE_SERVER


def test_limits_are_those_of_the_code(document: Document) -> None:
    said = " ".join(document.content["info"]["description"].split())
    field = ReceiverSettings.model_fields["request_timeout_seconds"]

    assert document.content["components"]["schemas"]["Token"]["maxLength"] == MAX_TOKEN_CHARS
    assert MAX_HEAD_BYTES == MAX_BODY_BYTES
    assert f"at most {MAX_HEAD_BYTES:,} bytes and {field.default:g} seconds" in said
    assert field.default == BODY_TIMEOUT_SECONDS
    for name, size in (("TooLarge", MAX_BODY_BYTES), ("HeadTooLarge", MAX_HEAD_BYTES)):
        assert f"{size:,} bytes" in document.content["components"]["responses"][name]["description"]


def test_each_reference_leads_somewhere_and_each_schema_is_one(document: Document) -> None:
    references = json.dumps(document.content).count('"$ref"')
    resolved = 0
    waiting: list[Any] = [document.content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "$ref" in value:
                document.resolved(value)
                resolved += 1
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)

    assert resolved == references > 10
    for schema in document.content["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
