"""A whole exchange ends at its deadline, however its bytes are spread, and blocks of time nest."""

import time
from collections.abc import Iterator

import httpx
import pytest

from producer.protocol.reply import ReplyUnreadable, read_bounded
from tests.support.raw_betcore import reply, serving, silence, trickle
from worker.domain.deadline import Deadline
from worker.http.transport import DeadlineTransport
from worker.time_limit import ends_by

ENDLESS = trickle(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n")


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    """Give a client whose own timeouts are of no help."""
    with httpx.Client(transport=DeadlineTransport(max_connections=2), timeout=None) as built:  # noqa: S113 - the point
        yield built


def ends_in(seconds: float) -> Deadline:
    return Deadline(time.monotonic() + seconds)


def test_a_body_that_drips_ends_at_the_deadline(client: httpx.Client) -> None:
    with serving(ENDLESS) as peer, ends_by(ends_in(0.3)), pytest.raises(httpx.TimeoutException):
        client.get(peer.url)


def test_the_inner_block_can_shorten_the_time_and_never_lengthen_it(client: httpx.Client) -> None:
    with serving(silence) as peer:
        outer = ends_in(60)
        with ends_by(outer):
            with ends_by(ends_in(0.2)), pytest.raises(httpx.TimeoutException):
                client.get(peer.url)
            assert outer.remaining_seconds(time.monotonic()) > 0
        with ends_by(ends_in(0.2)), ends_by(ends_in(60)), pytest.raises(httpx.TimeoutException):
            client.get(peer.url)


def test_after_an_inner_block_the_outer_one_holds_again(client: httpx.Client) -> None:
    with serving(silence) as peer, ends_by(ends_in(0.3)):
        with ends_by(ends_in(0.1)):
            pass
        with pytest.raises(httpx.TimeoutException):
            client.get(peer.url)


def test_after_the_block_the_thread_is_free_again(client: httpx.Client) -> None:
    with serving(reply(200)) as peer:
        with ends_by(ends_in(0.0)), pytest.raises(httpx.TimeoutException):
            client.get(peer.url)

        assert client.get(peer.url).status_code == 200


def test_nothing_is_sent_when_the_time_is_over(client: httpx.Client) -> None:
    with serving(reply(200)) as peer:
        client.get(peer.url)
        with ends_by(ends_in(0.0)), pytest.raises(httpx.WriteTimeout):
            client.get(peer.url)
        client.get(peer.url)

    assert len(peer.requests) == 2


@pytest.mark.parametrize("size", [99, 100])
def test_a_reply_is_read_up_to_its_limit(client: httpx.Client, size: int) -> None:
    with serving(reply(200, b"x" * size)) as peer, client.stream("GET", peer.url) as response:
        assert read_bounded(response, max_bytes=100) == b"x" * size


@pytest.mark.parametrize("size", [101, 100_000])
def test_a_reply_beyond_its_limit_is_not_read(client: httpx.Client, size: int) -> None:
    with serving(reply(200, b"x" * size)) as peer, client.stream("GET", peer.url) as response:  # noqa: SIM117
        with pytest.raises(ReplyUnreadable, match="longer than 100 bytes"):
            read_bounded(response, max_bytes=100)


def test_reading_an_endless_reply_stops_at_the_limit(client: httpx.Client) -> None:
    with serving(ENDLESS) as peer, ends_by(ends_in(60)), client.stream("GET", peer.url) as response:  # noqa: SIM117
        with pytest.raises(ReplyUnreadable):
            read_bounded(response, max_bytes=3)
