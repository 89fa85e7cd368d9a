"""A body of make that does not come, or comes in drips, is not waited for."""

import asyncio

import pytest
from starlette.types import Message, Scope

from producer.receiver.answers import BodyTooSlow
from producer.receiver.http.body import read_body
from tests.support import virtual_time

SCOPE: Scope = {"type": "http", "headers": []}


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(BodyTooSlow):
        virtual_time.run(read_body(SCOPE, receive))


def test_a_body_that_drips_is_not_waited_for() -> None:
    async def receive() -> Message:
        await asyncio.sleep(1)
        return {"type": "http.request", "body": b"x", "more_body": True}

    with pytest.raises(BodyTooSlow):
        virtual_time.run(read_body(SCOPE, receive))
