"""The envelope that goes onto the queue, as a pure value."""

import json
from base64 import b64decode

from producer.contract import QUEUE, TASK_NAME, SettleMessage
from producer.publisher import envelope

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
