"""The golden files: written by the client as they are, and taken by the worker, for ever."""

import hashlib
import json
from base64 import b64decode
from typing import Any
from uuid import UUID

import pytest

from cashback_client.contract import SettleMessage, event_id_of
from cashback_client.envelope import EntryWriter, message_in
from tests.support.contract_files import (
    EVENT_IDS,
    GOLDEN,
    GoldenEntry,
    body_validator,
    golden_entries,
    golden_files,
    read,
    schema,
    validator,
)
from worker.queue.entry import body_of, read_envelope

# A file is added with its digest; neither ever changes, and none is removed.
DIGESTS = {
    "v1/client-entry-escapes.json": "b004bf424ac6b833f5eacfe9a3ce8469caa5e962cd15dd36860626e787bfc259",
    "v1/client-entry-non-ascii.json": "1d1872969d4d9b2b0511fdd0af2f1c4b63cfa0849045e04b7a3a1228c1b71f14",
    "v1/client-entry.json": "60153c685c3d850d804e32f6a4f711ffaf15aa6b55909ddd5b3322b9973d8109",
    "v1/event-ids.json": "55c0c207c32fd9aee6e998088b8ffd3c0c050e21573c43c212dce385790030f3",
    "v1/minimal-entry-dense.json": "9c7a43176707a4e2d31df6d659f222a3d3539daa493fda60f6bb2adc1e9b1efe",
    "v1/minimal-entry-non-ascii.json": "54e754c1041420211ee87d2efd6746a6ed3f8517909827e12b3557d2ebf72c61",
    "v1/minimal-entry.json": "02885b6881960809559f248c04d3283a11cd82111f917258713f10eb118def50",
}
# What the client of an earlier release wrote so, and today's writes otherwise; workers take it still.
NO_LONGER_WRITTEN: frozenset[str] = frozenset()

ENTRIES = golden_entries()
WRITTEN = [golden for golden in ENTRIES if golden.written_with and golden.name not in NO_LONGER_WRITTEN]
entries = pytest.mark.parametrize("golden", ENTRIES, ids=lambda golden: golden.name)


def cases() -> list[dict[str, Any]]:
    files = [path for path in golden_files() if path.name == EVENT_IDS]
    return [case for path in files for case in read(path)["cases"]]


def test_each_golden_file_is_as_it_was_published() -> None:
    found = {
        str(path.relative_to(GOLDEN)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in golden_files()
    }

    assert found == DIGESTS


@pytest.mark.parametrize("golden", WRITTEN, ids=lambda golden: golden.name)
def test_the_client_writes_it_so(golden: GoldenEntry) -> None:
    assert golden.written_with is not None
    message = SettleMessage(token=golden.token, received_at_ms=golden.received_at_ms)
    writer = EntryWriter(origin=golden.written_with["origin"], sender=golden.written_with["sender"])

    written = writer.entry(message, event_id=message.event_id, summary=golden.written_with["summary"])

    assert written.decode() == golden.entry


@entries
def test_the_schemas_take_it(golden: GoldenEntry) -> None:
    entry = json.loads(golden.entry)

    validator(schema("entry")).validate(entry)
    body_validator().validate(json.loads(golden.body))
    assert b64decode(entry["body"], validate=True).decode() == golden.body
    assert entry["headers"]["id"] == golden.event_id


@entries
def test_a_worker_reads_it(golden: GoldenEntry) -> None:
    envelope = read_envelope(golden.entry.encode())

    positional, kwargs, _ = json.loads(body_of(envelope))
    message = SettleMessage.model_validate(kwargs)
    assert positional == []
    assert (message.token, message.received_at_ms) == (golden.token, golden.received_at_ms)
    assert message.event_id == UUID(golden.event_id)
    assert message_in(golden.entry) == message


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["event_id"])
def test_an_event_id_follows_from_the_token_in_these_steps(case: dict[str, Any]) -> None:
    token = case["token"].encode()
    digest = hashlib.sha256(token).digest()
    first = bytearray.fromhex(case["first_16_bytes"])
    steps = {6: (0x0F, 0x80), 8: (0x3F, 0x80)}

    assert (token.hex(), digest.hex()) == (case["utf_8"], case["sha_256"])
    assert first == digest[:16]
    for place, (kept, put) in steps.items():
        of = case[f"byte_{place}"]
        assert (of["of_the_hash"], of["of_the_id"]) == (
            f"{first[place]:02x}",
            f"{first[place] & kept | put:02x}",
        )
        first[place] = first[place] & kept | put
    assert UUID(bytes=bytes(first)) == UUID(case["event_id"]) == event_id_of(case["token"])


def test_the_cases_have_all_that_can_stand_in_front_of_byte_8() -> None:
    assert {int(case["byte_8"]["of_the_hash"], 16) >> 6 for case in cases()} == {0, 1, 2, 3}
