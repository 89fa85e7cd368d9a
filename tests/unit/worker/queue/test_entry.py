"""Whatever is taken from a queue becomes a message that kombu takes, and stays what it is."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.transport import virtual

from worker.queue.entry import UNREADABLE, QueueEntry, read_entry
from worker.queue.transport.held import Holder, Taken

GOOD: dict[str, Any] = {
    "body": "W10=",
    "content-type": "application/json",
    "content-encoding": "utf-8",
    "headers": {"task": "t", "id": "1"},
    "properties": {"delivery_tag": "theirs", "body_encoding": "base64"},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
ENVELOPES = st.fixed_dictionaries(
    {},
    optional={
        "body": JSON | st.just("W10="),
        "headers": JSON,
        "properties": st.fixed_dictionaries(
            {}, optional={"body_encoding": st.sampled_from(["base64", "utf-8", "x"]) | JSON}
        )
        | JSON,
        "content-type": JSON,
    },
)


class Codec(virtual.Channel):  # type: ignore[misc]  # kombu has no types
    """As much of a channel as a message needs: how bodies are encoded."""

    def __init__(self) -> None:
        self.closed = True


def read(raw: bytes, queue: str = "cashback") -> QueueEntry:
    """Read an entry as the worker does that took it."""
    return read_entry(Taken.of(f"7 0 {queue}", raw), Holder([queue], lease_seconds=1))


def taken_by_kombu(entry: QueueEntry) -> virtual.Message:
    """Do with an entry what kombu does with it until Celery has it."""
    return virtual.Message(entry, channel=Codec())


@given(st.binary(max_size=64))
def test_any_bytes_become_a_message_and_stay_what_they_are(entry: bytes) -> None:
    taken = read(entry)

    assert (taken.raw, taken.queue) == (entry, "cashback")
    taken_by_kombu(taken)


@given(ENVELOPES | JSON)
def test_any_json_becomes_a_message(value: Any) -> None:  # noqa: ANN401 - JSON
    taken_by_kombu(read(json.dumps(value).encode()))


def test_a_good_message_is_read_as_it_is() -> None:
    entry = read(json.dumps(GOOD).encode())

    assert UNREADABLE not in entry["headers"]
    assert {name: entry[name] for name in ("body", "headers", "content-type")} == {
        name: GOOD[name] for name in ("body", "headers", "content-type")
    }


def test_the_delivery_tag_is_the_workers_own_as_senders_can_repeat_theirs() -> None:
    assert read(json.dumps(GOOD).encode())["properties"]["delivery_tag"] == "7 0 cashback"


@pytest.mark.parametrize("named", [None, 5, {"exchange": "partner", "routing_key": "elsewhere"}])
def test_the_way_back_of_a_message_is_the_queue_it_came_from(named: object) -> None:
    entry = json.dumps(GOOD | {"properties": {"delivery_info": named}}).encode()

    info = read(entry, "cashback.retry")["properties"]["delivery_info"]

    assert info == {"exchange": "", "routing_key": "cashback.retry"}
