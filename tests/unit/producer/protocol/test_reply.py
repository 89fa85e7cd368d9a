"""A reply is read within bounds: of size, of time, and of what it becomes in memory."""

import gzip
import tracemalloc
import zlib
from collections.abc import Callable, Iterator

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


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_compressed_reply_is_read_though_nobody_asked_for_it(
    encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    packed = pack(b"x" * 10_000)
    reply = response(packed[:20], packed[20:], **{"Content-Encoding": encoding})

    assert read_bounded(reply, max_bytes=10_000) == b"x" * 10_000


def test_what_counts_is_the_length_in_memory_and_no_more_is_unpacked() -> None:
    bomb = gzip.compress(b"x" * 300_000_000, compresslevel=1)
    tracemalloc.start()
    try:
        with pytest.raises(ReplyUnreadable, match="longer than 9999 bytes"):
            read_bounded(response(bomb, **{"Content-Encoding": "gzip"}), max_bytes=9_999)
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most_bytes < 10_000_000


@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, gzip"])
def test_what_cannot_be_unpacked_is_not_read(encoding: str) -> None:
    with pytest.raises(ReplyUnreadable):
        read_bounded(response(b"junk", **{"Content-Encoding": encoding}), max_bytes=100)


def test_a_reply_that_drips_ends_with_its_time() -> None:
    times = iter([0.5, 1.5])

    with pytest.raises(ReplyUnreadable, match="did not end in time"):
        read_bounded(response(b"1", b"2", b"3"), until=1.0, clock=lambda: next(times))
