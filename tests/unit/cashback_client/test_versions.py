"""Members may be added within a version, and a worker takes the current version and the one before."""

import json
from base64 import b64encode
from typing import Any

import jsonschema
import pytest
from pydantic import Field, ValidationError

from cashback_client.contract import MESSAGE_VERSION, OLDEST_MESSAGE_VERSION, SettleMessage
from cashback_client.envelope import message_in
from deploy.local.environment import ROOT
from worker.errors import FutureVersion
from worker.queue.request_checks import not_the_arguments

SCHEMA = json.loads((ROOT / "docs" / "contract" / "message.schema.json").read_text("utf-8"))
MESSAGE = SettleMessage(token="a.b.c", received_at_ms=1_800_000_000_123)


class NextMessage(SettleMessage):
    """The message as its next version could be: with one more member."""

    version: int = Field(default=MESSAGE_VERSION + 1, ge=MESSAGE_VERSION, le=MESSAGE_VERSION + 1)
    region: str | None = None


@pytest.mark.parametrize("more", [{"region": "eu"}, {"producer": "shop"}, {"": None}, {"self": [{}] * 50}])
def test_members_that_were_added_within_the_version_are_not_read(more: dict[str, Any]) -> None:
    sent = MESSAGE.model_dump() | more
    body = b64encode(json.dumps([[], sent, {}]).encode()).decode()

    assert SettleMessage.model_validate(sent) == MESSAGE
    assert message_in(json.dumps({"body": body})) == MESSAGE
    jsonschema.validate(sent, SCHEMA)


def test_the_current_version_and_the_one_before_are_taken() -> None:
    assert max(1, MESSAGE_VERSION - 1) == OLDEST_MESSAGE_VERSION

    for version in (OLDEST_MESSAGE_VERSION, MESSAGE_VERSION):
        assert SettleMessage.model_validate(MESSAGE.model_dump() | {"version": version}).version == version
    for version in (OLDEST_MESSAGE_VERSION - 1, MESSAGE_VERSION + 1):
        with pytest.raises(ValidationError):
            SettleMessage.model_validate(MESSAGE.model_dump() | {"version": version})


def test_a_worker_of_the_next_version_takes_what_is_written_today() -> None:
    taken = NextMessage.model_validate(MESSAGE.model_dump())

    assert (taken.version, taken.token, taken.region) == (MESSAGE_VERSION, MESSAGE.token, None)


def test_a_worker_of_today_says_of_the_next_version_what_it_takes() -> None:
    sent = NextMessage(token="a.b.c", received_at_ms=1, region="eu").model_dump()

    with pytest.raises(ValidationError) as refused:
        SettleMessage.model_validate(sent)
    error = not_the_arguments(sent, refused.value)
    assert isinstance(error, FutureVersion)
    assert str(error) == "message of version 2: this worker takes up to 1"
