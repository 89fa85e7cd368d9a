"""The envelope that goes onto the queue, as a pure value."""

import json
from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cashback_client.contract import MAX_RECEIVED_AT_MS, QUEUE, TASK_NAME, SettleMessage
from cashback_client.envelope import EntryWriter, envelope, message_in

MESSAGE = SettleMessage(token="head.payload.signature", received_at_ms=1_800_000_000_123)


def test_the_envelope_carries_the_message_under_the_events_id() -> None:
    entry = envelope(MESSAGE, summary="CashbackId=480", origin="receiver1@host", delivery_tag="tag")

    task_id = str(MESSAGE.event_id)
    assert json.loads(b64decode(entry["body"]))[:2] == [[], MESSAGE.model_dump()]
    assert (entry["headers"]["task"], entry["headers"]["id"], entry["headers"]["root_id"]) == (
        TASK_NAME,
        task_id,
        task_id,
    )
    assert entry["properties"]["correlation_id"] == task_id
    assert entry["properties"]["delivery_info"]["routing_key"] == QUEUE
    assert entry["properties"]["delivery_tag"] == "tag"


def test_the_envelope_has_no_time_limit_that_celery_could_drop_the_message_by() -> None:
    headers = envelope(MESSAGE, summary="", origin="", delivery_tag="")["headers"]

    assert (headers["eta"], headers["expires"], headers["timelimit"]) == (None, None, [None, None])


def test_the_token_stands_in_the_body_alone() -> None:
    entry = envelope(MESSAGE, summary="CashbackId=480", origin="receiver1@host", delivery_tag="tag")

    assert MESSAGE.token in b64decode(entry.pop("body")).decode()
    assert MESSAGE.token not in json.dumps(entry)


ORIGIN = "receiver1@100%25.host"
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(
    token=TEXT.filter(bool) | st.sampled_from(["<body>", "<tag>", "%(body)s", "%s", '"']),
    received_at_ms=st.integers(0, MAX_RECEIVED_AT_MS - 1),
    summary=TEXT | st.sampled_from(["<tag>", "<token>", "%(tag)s", "%%", '"\\']),
)
def test_an_entry_is_the_envelope_as_json_whatever_it_carries(
    token: str, received_at_ms: int, summary: str
) -> None:
    message = SettleMessage(token=token, received_at_ms=received_at_ms)
    writer = EntryWriter(origin=ORIGIN, sender="sender")

    entry = json.loads(writer.entry(message, event_id=message.event_id, summary=summary))

    tag = entry["properties"]["delivery_tag"]
    expected = envelope(message, summary=summary, origin=ORIGIN, delivery_tag=tag)
    assert json.loads(b64decode(entry.pop("body"))) == json.loads(b64decode(expected.pop("body")))
    assert entry == expected


def test_no_two_entries_share_a_delivery_tag() -> None:
    writers = [EntryWriter(origin=ORIGIN, sender=sender) for sender in ("one", "two")]

    entries = [writer.entry(MESSAGE, event_id=MESSAGE.event_id, summary="") for writer in writers * 100]

    tags = [json.loads(entry)["properties"]["delivery_tag"] for entry in entries]

    assert len(set(tags)) == 200


def entry_of(kwargs: object) -> str:
    body = b64encode(json.dumps([[], kwargs, {}]).encode()).decode()
    return json.dumps({"body": body})


def test_the_message_is_read_from_an_entry() -> None:
    assert message_in(entry_of(MESSAGE.model_dump())) == MESSAGE


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "[]",
        "{}",
        '{"body": 1}',
        entry_of(None),
        entry_of({}),
        entry_of({"token": "a.b.c", "received_at_ms": "x"}),
        entry_of({"token": "a.b.c", "received_at_ms": -1}),
        entry_of({"token": 5, "received_at_ms": 1}),
    ],
)
def test_an_entry_that_is_none_of_ours_says_nothing(bad: str) -> None:
    assert message_in(bad) is None
