"""Whatever is popped from a queue becomes a message that kombu takes, puts into `unacked` and restores."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.transport import virtual
from kombu.utils.json import dumps, loads

from worker.queue.entry import UNREADABLE, QueueEntry, read_entry

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


def taken_by_kombu(entry: QueueEntry) -> virtual.Message:
    """Do with an entry what kombu does with it until Celery has it, and after its worker's death."""
    message = virtual.Message(entry, channel=Codec())
    exchange, routing_key = (message.delivery_info[name] for name in ("exchange", "routing_key"))
    stored, *_ = loads(dumps([entry, exchange, routing_key]))
    # What kombu's restoring writes into it.
    stored["headers"]["redelivered"] = True
    stored["properties"]["delivery_info"]["redelivered"] = True
    return message


@given(st.binary(max_size=64))
def test_any_bytes_become_a_message_and_stay_what_they_are(entry: bytes) -> None:
    taken = read_entry(entry, "cashback")

    assert (taken.raw, taken.queue) == (entry, "cashback")
    message = taken_by_kombu(taken)
    if UNREADABLE in message.headers:
        assert message.body == entry


@given(ENVELOPES | JSON)
def test_any_json_becomes_a_message(value: Any) -> None:  # noqa: ANN401 - JSON
    taken_by_kombu(read_entry(json.dumps(value).encode(), "cashback"))


def test_a_good_message_is_read_as_it_is() -> None:
    entry = read_entry(json.dumps(GOOD).encode(), "cashback")

    assert UNREADABLE not in entry["headers"]
    assert {name: entry[name] for name in ("body", "headers", "content-type")} == {
        name: GOOD[name] for name in ("body", "headers", "content-type")
    }


def test_two_messages_with_the_same_delivery_tag_do_not_get_into_each_others_way() -> None:
    tags = {read_entry(json.dumps(GOOD).encode(), "q")["properties"]["delivery_tag"] for _ in range(2)}

    assert len(tags - {"theirs"}) == 2


@pytest.mark.parametrize("named", [None, 5, {"exchange": "partner", "routing_key": "elsewhere"}])
def test_the_way_back_of_a_message_is_the_queue_it_came_from(named: object) -> None:
    entry = json.dumps(GOOD | {"properties": {"delivery_info": named}}).encode()

    info = read_entry(entry, "cashback.retry")["properties"]["delivery_info"]

    assert info == {"exchange": "", "routing_key": "cashback.retry"}


def test_what_was_wrapped_and_comes_again_is_still_what_it_was() -> None:
    first = read_entry(b"\xffgarbage", "cashback")

    again = read_entry(dumps(first).encode(), "cashback")

    assert virtual.Message(again, channel=Codec()).body == b"\xffgarbage"
    assert again["headers"] == first["headers"]
