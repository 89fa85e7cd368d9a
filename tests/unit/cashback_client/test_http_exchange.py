"""A reply of HTTP is read from its bytes: whole or not at all, however it is framed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cashback_client.http_exchange import Reply, reply_in, request_bytes
from cashback_client.settings import HttpAddress

BODY = b'{"events": []} 0\r\n\r\n!'
BY_LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nRetry-After: 3\r\n\r\n" % len(BODY) + BODY
CHUNKS = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (BODY[:3], BODY[3:]))
BY_CHUNKS = b"HTTP/1.1 200 OK\r\nRetry-After: 3\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS + b"0\r\n\r\n"
BY_CLOSE = b"HTTP/1.1 200 OK\r\nRetry-After: 3\r\n\r\n" + BODY
AFTER_OTHERS = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103\r\nLink: x\r\n\r\n" + BY_LENGTH

ADDRESS = HttpAddress(host="::1", port=80, path="/base", host_header="[::1]:80", api_key="k3y", tls=None)


@pytest.mark.parametrize("whole", [BY_LENGTH, BY_CHUNKS, AFTER_OTHERS], ids=["length", "chunks", "interim"])
def test_a_reply_is_there_with_its_last_byte_and_not_before(whole: bytes) -> None:
    for end in range(len(whole)):
        assert reply_in(whole[:end], is_all=False) is None

    assert reply_in(whole, is_all=False) == Reply(200, BODY, 3.0)


@pytest.mark.parametrize("whole", [BY_LENGTH, BY_CHUNKS], ids=["length", "chunks"])
def test_a_reply_that_breaks_off_is_none(whole: bytes) -> None:
    # Of the last chunk http.client forgives that its end is missing.
    for end in range(len(whole) - len(b"\r\n\r\n")):
        with pytest.raises(ValueError, match=r"ended before|no reply in HTTP"):
            reply_in(whole[:end], is_all=True)


def test_a_reply_that_says_no_end_ends_with_the_connection() -> None:
    assert reply_in(BY_CLOSE, is_all=False) is None
    assert reply_in(BY_CLOSE, is_all=True) == Reply(200, BODY, 3.0)


@pytest.mark.parametrize(
    "head",
    [
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 ok\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
    ],
    ids=["another protocol", "no status", "many headers", "a long header"],
)
def test_what_is_no_reply_is_an_error(head: bytes) -> None:
    with pytest.raises(ValueError, match="no reply in HTTP"):
        reply_in(head, is_all=False)


@pytest.mark.parametrize("value", ["", "soon", "-1", "1.5", "9" * 9, "\u0661"])
def test_a_retry_after_that_is_no_number_of_a_day_is_none(value: str) -> None:
    raw = f"HTTP/1.1 429 X\r\nContent-Length: 0\r\nRetry-After: {value}\r\n\r\n".encode()

    assert reply_in(raw, is_all=False) == Reply(429, b"", None)


def test_a_request_carries_the_key_and_asks_for_no_second_one() -> None:
    assert request_bytes(ADDRESS, "POST", "/events", b"{}").split(b"\r\n") == [
        b"POST /base/events HTTP/1.1",
        b"Host: [::1]:80",
        b"Authorization: Bearer k3y",
        b"Accept: application/json",
        b"Connection: close",
        b"Content-Type: application/json",
        b"Content-Length: 2",
        b"",
        b"{}",
    ]
    assert b"Content-" not in request_bytes(ADDRESS, "GET", "/events/1")


HEADS = [b"HTTP/1.1 200 OK", b"HTTP/1.1 100 X", b"\r\n", b"\r\n\r\n", b"Transfer-Encoding: chunked"]
VALUES = [b"Content-Length: ", b"Retry-After: ", b"-1", b"5", b"ffffffffff", b"0\r\n\r\n", b"; x", b"{}"]
PIECES = st.sampled_from(HEADS + VALUES)


@given(st.lists(PIECES | st.binary(max_size=6), max_size=12).map(b"".join), st.booleans())
def test_whatever_comes_is_a_reply_or_its_beginning_or_an_error(received: bytes, is_all: bool) -> None:  # noqa: FBT001
    try:
        reply = reply_in(received, is_all=is_all)
    except ValueError:
        return
    assert reply is not None or not is_all
