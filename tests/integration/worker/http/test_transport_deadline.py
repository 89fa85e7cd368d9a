"""A whole exchange ends at its deadline, however its bytes are spread, and blocks of time nest."""

import time
from collections.abc import Iterator

import httpx
import pytest

from tests.support.peer import reply, serving, silence, trickle
from worker.betcore.replies import read_at_most
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


@pytest.mark.parametrize(("size", "whole"), [(99, True), (100, True), (101, False), (100_000, False)])
def test_a_reply_is_read_up_to_its_limit(client: httpx.Client, size: int, whole: bool) -> None:  # noqa: FBT001 - a case
    with serving(reply(200, b"x" * size)) as peer, client.stream("GET", peer.url) as response:
        content = read_at_most(response, 100)

    assert content == (b"x" * size if whole else None)


def test_reading_an_endless_reply_stops_at_the_limit(client: httpx.Client) -> None:
    with serving(ENDLESS) as peer, ends_by(ends_in(60)), client.stream("GET", peer.url) as response:
        assert read_at_most(response, 3) is None
