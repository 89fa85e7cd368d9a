"""What a call to BETCORE that was not answered says: it reached nobody, or only the answer is missing."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Final

import httpx
import pytest

from producer.shared.outgoing import Caller, CallFailed, http_client
from tests.support.event_loop import loop_thread
from tests.support.raw_betcore import serving, silence

SHORT_SECONDS: Final = 1.5
# Longer than a connection may take to come about.
LONG_SECONDS: Final = 30.0
_MORE_THAN_THE_BACKLOG: Final = 4


@contextmanager
def deaf_server() -> Iterator[str]:
    """Listen where no connection comes about any more: the backlog is full, and nobody accepts."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(_MORE_THAN_THE_BACKLOG):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with suppress(BlockingIOError):
                waiting.connect(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def posted(url: str, *, timeout_seconds: float) -> str:
    with loop_thread() as loop:
        caller = Caller()
        call = caller.post(url, headers={}, content=b"x", timeout_seconds=timeout_seconds, max_bytes=1)
        try:
            with pytest.raises(CallFailed) as failure:
                loop.run(call)
        finally:
            loop.run(caller.close())
    return str(failure.value)


def test_an_answer_that_does_not_come_is_not_called_a_connection_that_did_not() -> None:
    with serving(silence) as peer, http_client() as client:
        assert posted(peer.url, timeout_seconds=SHORT_SECONDS) == "TimeoutError: no whole answer within 1.5 s"
        with pytest.raises(httpx.ReadTimeout):
            client.get(peer.url, timeout=SHORT_SECONDS)


def test_a_connection_that_does_not_come_about_is_called_so() -> None:
    with deaf_server() as url, http_client() as client:
        assert posted(url, timeout_seconds=LONG_SECONDS).startswith("ConnectTimeoutError: ")
        with pytest.raises(httpx.ConnectTimeout):
            client.get(url, timeout=LONG_SECONDS)
