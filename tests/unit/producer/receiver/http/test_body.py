"""The body of make: one that does not come is not waited for, and what holds no token costs nothing."""

import asyncio

import pytest
from starlette.types import Message, Scope

from producer.protocol.errors import NotAToken
from producer.receiver.answers import BodyTooSlow
from producer.receiver.http.body import read_body, token_in
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


@pytest.mark.parametrize(
    "body",
    [
        b"a.b.c",
        b" \r\n a.b.c \t",
        b'"a.b.c"',
        b' "a.b.c" ',
        b'"a\\u002eb.c"',
        b'"\\u0061.b\\u002Ec"',
        b'{"token": "a.b.c"}',
        b'{ "tok\\u0065n" : "a.b\\u002ec" }',
    ],
)
def test_a_token_is_found_in_each_spelling(body: bytes) -> None:
    assert token_in(body) == "a.b.c"


@pytest.mark.parametrize(
    "body",
    [
        b"a.b",
        b"a.b.c.d",
        b"a.b.\xff",
        b'"a.b.c',
        b'"a.b.c" "d"',
        b'"a.b.\xc3\xa4"',
        b'"a.b.\\u00e4"',
        b'{"token": 1, "a.b.c": 1}',
        b'{"token": "a.b.c", "token": "a.b.c"}',
        b'{"token": {"token": "a.b.c"}}',
        b'{"token": ["a.b.c"]}',
        b'{"a.b.c": "token"}',
        b'{"tok\\u0065n": ' + b"1" * 16_000 + b"}",
        b'{"token":' * 1_000 + b"a.b.c",
        b'{"token":' + b"[" * 16_000 + b"a.b.c",
    ],
)
def test_what_holds_no_token_is_refused(body: bytes) -> None:
    with pytest.raises(NotAToken):
        token_in(body)


@pytest.mark.parametrize("body", [b'{"token":' * 1_500, b'"' + b"a" * 16_000 + b'"', b'{"a":1,' * 2_000])
def test_what_a_glance_shows_to_be_no_token_is_not_parsed(
    monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    monkeypatch.setattr("producer.receiver.http.body.json", None)

    with pytest.raises(NotAToken):
        token_in(body)
