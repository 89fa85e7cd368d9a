"""A reply is read within bounds: of size, of time, and of what it becomes in memory."""

import gzip
from collections.abc import Iterator

import httpx
import pytest

from producer.protocol.reply import ReplyUnreadable, read_bounded


class Chunks(httpx.SyncByteStream):
    """A body that comes in pieces."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        yield from self._chunks


def response(*chunks: bytes, **headers: str) -> httpx.Response:
    return httpx.Response(200, headers=headers, stream=Chunks(*chunks))


def test_a_reply_is_read_to_its_last_allowed_byte() -> None:
    assert read_bounded(response(b"12", b"34"), max_bytes=4) == b"1234"


def test_a_longer_reply_is_not_read() -> None:
    with pytest.raises(ReplyUnreadable, match="longer than 3 bytes"):
        read_bounded(response(b"12", b"34"), max_bytes=3)


def test_what_counts_is_the_length_in_memory() -> None:
    packed = gzip.compress(b"x" * 10_000)

    with pytest.raises(ReplyUnreadable, match="longer than 9999 bytes"):
        read_bounded(response(packed, **{"Content-Encoding": "gzip"}), max_bytes=9_999)


def test_a_reply_that_drips_ends_with_its_time() -> None:
    times = iter([0.5, 1.5])

    with pytest.raises(ReplyUnreadable, match="did not end in time"):
        read_bounded(response(b"1", b"2", b"3"), until=1.0, clock=lambda: next(times))
