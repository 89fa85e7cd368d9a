"""docs/contract/asyncapi.yaml has the lists and the task of the code, and leads to the schemas."""

import json
import re
from base64 import b64decode
from typing import Any

import pytest
import yaml

from cashback_client.contract import OWN_PRODUCER, PARTNER_QUEUE_PREFIX, TASK_NAME, event_id_of, queue_of
from tests.support.contract_files import CONTRACT, body_validator, read, schema, validator

# Of the specification of AsyncAPI 3.0: what stands at the top, and what an operation can do.
MEMBERS = {"asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components"}
RECEIVE = "receive"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CONTRACT / "asyncapi.yaml").read_text("utf-8"))
    return found


def resolved(document: dict[str, Any], value: Any) -> Any:  # noqa: ANN401 - a part of the document
    """Return what a value is, or leads to."""
    while isinstance(value, dict) and "$ref" in value:
        path, _, pointer = value["$ref"].partition("#")
        found: Any = read(CONTRACT / path) if path else document
        for name in pointer.strip("/").split("/") if pointer else ():
            found = found[name]
        value = found
    return value


def references(value: Any) -> list[dict[str, str]]:  # noqa: ANN401 - a part of the document
    """Return all references in a value."""
    if isinstance(value, dict):
        return (
            [value] if "$ref" in value else [found for part in value.values() for found in references(part)]
        )
    return [found for part in value for found in references(part)] if isinstance(value, list) else []


def test_it_is_an_asyncapi_document_whose_references_lead_somewhere(document: dict[str, Any]) -> None:
    assert document["asyncapi"] == "3.0.0"
    assert set(document) <= MEMBERS
    assert {"title", "version"} <= set(document["info"])
    found = references(document)
    assert len(found) > 8
    assert all(isinstance(resolved(document, reference), dict) for reference in found)


def test_its_channels_are_the_lists_of_the_producers(document: dict[str, Any]) -> None:
    addresses = {channel["address"] for channel in document["channels"].values()}

    assert addresses == {queue_of(OWN_PRODUCER), f"{PARTNER_QUEUE_PREFIX}{{name}}"}
    for channel in document["channels"].values():
        assert set(re.findall(r"\{(\w+)\}", channel["address"])) == set(channel.get("parameters", {}))
        assert schema("entry")["x-command"].split()[0] == channel["x-redis-command"]
    [name] = document["channels"]["partner"]["parameters"]["name"]["examples"]
    assert re.search(schema("entry")["x-key"]["pattern"], queue_of(name))


def test_each_channel_is_received_from_and_nothing_is_sent_back(document: dict[str, Any]) -> None:
    operations = document["operations"].values()

    assert {operation["action"] for operation in operations} == {RECEIVE}
    assert [operation["channel"]["$ref"] for operation in operations] == [
        f"#/channels/{name}" for name in document["channels"]
    ]
    for operation in operations:
        named = {message["$ref"].rpartition("/")[0] for message in operation["messages"]}
        assert named == {f"{operation['channel']['$ref']}/messages"}


def test_its_message_is_the_entry_and_its_example_is_one(document: dict[str, Any]) -> None:
    channels = document["channels"].values()
    [message] = {json.dumps(resolved(document, channel["messages"]["settle"])) for channel in channels}
    settle = json.loads(message)

    assert settle["name"] == TASK_NAME
    assert resolved(document, settle["payload"]["schema"]) == schema("entry")
    assert resolved(document, settle["x-body"]["schema"]) == schema("message")
    for example in settle["examples"]:
        entry = example["payload"]
        validator(schema("entry")).validate(entry)
        body = json.loads(b64decode(entry["body"]))
        body_validator().validate(body)
        assert entry["headers"]["id"] == str(event_id_of(body[1]["token"]))
