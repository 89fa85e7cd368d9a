"""The schemas of the contract: what is right passes, and of what is not each says so that can."""

import json
import re
from base64 import b64encode
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from cashback_client.contract import OWN_PRODUCER, QUEUE, TASK_NAME, SettleMessage, queue_of
from cashback_client.envelope import MAX_ENTRY_BYTES, envelope
from tests.support.contract_files import CONTRACT, body_validator, read, schema, validator
from worker.queue.entry import NotAnEntry, read_envelope

MESSAGE = SettleMessage(token="a.b.c", received_at_ms=1_800_000_000_123)
MINIMAL: dict[str, Any] = {
    "body": b64encode(b"[[], {}, {}]").decode(),
    "content-encoding": "utf-8",
    "content-type": "application/json",
    "headers": {"task": TASK_NAME, "id": "1"},
    "properties": {"body_encoding": "base64"},
}
PRODUCERS = [OWN_PRODUCER, "a", "edge", "edge-1", "9" * 32]


@pytest.mark.parametrize("path", sorted(CONTRACT.glob("*.schema.json")), ids=lambda path: path.name)
def test_it_is_a_schema_of_the_draft_that_it_names(path: Any) -> None:  # noqa: ANN401 - a path
    content = read(path)

    assert content["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    Draft202012Validator.check_schema(content)


def test_what_the_client_writes_is_an_entry() -> None:
    written = envelope(MESSAGE, summary="CashbackId=1", origin="edge", delivery_tag="1.1")

    validator(schema("entry")).validate(written)
    body_validator().validate([[], MESSAGE.model_dump(), {"chain": None, "chord": None}])


def test_the_least_that_is_an_entry_is_one() -> None:
    validator(schema("entry")).validate(MINIMAL)


@pytest.mark.parametrize("member", sorted(MINIMAL))
def test_without_one_of_its_members_it_is_none(member: str) -> None:
    with pytest.raises(ValidationError):
        validator(schema("entry")).validate({name: MINIMAL[name] for name in MINIMAL if name != member})


@pytest.mark.parametrize(
    "change",
    [
        {"body": {}},
        {"body": "bm8gYmFzZTY0"[:-1]},
        {"body": "[[], {}, {}]"},
        {"content-type": "text/plain"},
        {"content-encoding": "utf-16"},
        {"headers": None},
        {"headers": {"id": "1"}},
        {"headers": {"task": TASK_NAME}},
        {"headers": {"task": "Cashback.Settle", "id": "1"}},
        {"headers": {"task": TASK_NAME, "id": ""}},
        {"headers": {"task": TASK_NAME, "id": "x" * 256}},
        {"headers": {"task": TASK_NAME, "id": "1", "expires": "2026-01-01T00:00:00Z"}},
        {"properties": {}},
        {"properties": {"body_encoding": "hex"}},
        {"properties": {"body_encoding": "base64", "priority": 9}},
    ],
    ids=str,
)
def test_what_is_no_entry_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        validator(schema("entry")).validate(MINIMAL | change)


@pytest.mark.parametrize(
    "body",
    [
        [],
        MESSAGE.model_dump(),
        [[], MESSAGE.model_dump()],
        [["a.b.c", 1], MESSAGE.model_dump(), {}],
        [[], MESSAGE.model_dump() | {"received_at_ms": "1"}, {}],
        [[], MESSAGE.model_dump(), {"chain": [1]}],
        [[], MESSAGE.model_dump(), {}, {}],
    ],
    ids=str,
)
def test_what_is_no_body_is_refused(body: object) -> None:
    with pytest.raises(ValidationError):
        body_validator().validate(body)


def test_the_key_is_the_list_of_a_producer() -> None:
    pattern = schema("entry")["x-key"]["pattern"]

    assert [name for name in PRODUCERS if not re.search(pattern, queue_of(name))] == []
    for wrong in ("celery", "Cashback", f"{QUEUE}.retry", f"{QUEUE}.partner.", f"{QUEUE}.partner.a b"):
        assert not re.search(pattern, wrong)


def test_the_largest_entry_is_the_one_that_a_worker_reads() -> None:
    padded = json.dumps(MINIMAL | {"padding": "x" * MAX_ENTRY_BYTES})[-MAX_ENTRY_BYTES - 1 :].encode()

    assert schema("entry")["x-max-bytes"] == MAX_ENTRY_BYTES
    with pytest.raises(NotAnEntry, match=str(MAX_ENTRY_BYTES)):
        read_envelope(padded)
