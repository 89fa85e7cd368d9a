"""Both clients of cashback_client in one form, so that one test is of both; and the partner's side of it."""

import asyncio
import json
import socket
import threading
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final, Protocol, Self, Unpack
from uuid import UUID

from cashback_client.client import AsyncCashbackClient, CashbackClient
from cashback_client.receiver_api import EventStatus
from cashback_client.settings import Options
from cashback_client.submission import Given, Outcome

PARTNER: Final = "edge"
PASSWORD: Final = "s\u00ebcret/of:edge"
QUEUE: Final = f"cashback.partner.{PARTNER}"

AMPLE_SECONDS: Final = 30.0
"""The longest that a client can be given: no test ends by it."""
SHORT_SECONDS: Final = 0.2
"""For what never ends: the client's own bound is what ends it, or nothing does."""


class Client(Protocol):
    """What both clients do, each call to its end."""

    def submit(self, token: str, received_at_ms: int | None = None) -> Outcome:
        """Submit one."""

    def submit_many(self, tokens: Iterable[Given]) -> list[Outcome]:
        """Submit many."""

    def status(self, event_id: UUID | str) -> EventStatus | None:
        """Ask."""

    def __enter__(self) -> Self:
        """Give itself."""

    def __exit__(self, *_: object) -> None:
        """Close it."""


class Awaited:
    """An AsyncCashbackClient in a loop of its own."""

    def __init__(self, url: str, **options: Unpack[Options]) -> None:
        self._runner = asyncio.Runner()
        self._client = AsyncCashbackClient(url, **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._client.close())
        self._runner.close()

    def submit(self, token: str, received_at_ms: int | None = None) -> Outcome:
        """Submit one."""
        return self._runner.run(self._client.submit(token, received_at_ms))

    def submit_many(self, tokens: Iterable[Given]) -> list[Outcome]:
        """Submit many."""
        return self._runner.run(self._client.submit_many(tokens))

    def status(self, event_id: UUID | str) -> EventStatus | None:
        """Ask."""
        return self._runner.run(self._client.status(event_id))


Making = Callable[..., Client]
BOTH: Final[Mapping[str, Making]] = {"sync": CashbackClient, "async": Awaited}


def message_of(entry: bytes) -> dict[str, Any]:
    """Return the message that an entry of the queue holds, read past our own code."""
    arguments, message, _ = json.loads(b64decode(json.loads(entry)["body"]))
    assert arguments == []
    assert isinstance(message, dict)
    return message


@contextmanager
def tcp_server(serve: Callable[[socket.socket, threading.Event], None]) -> Iterator[int]:
    """Run a server of raw sockets on this machine, each connection in a thread; gives its port.

    `serve` is told when the test is over.
    """
    closing = threading.Event()
    threads: list[threading.Thread] = []

    def one(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            serve(connection, closing)

    def accept() -> None:
        while not closing.is_set():
            with suppress(TimeoutError):
                connection, _ = listener.accept()
                threads.append(threading.Thread(target=one, args=(connection,)))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.02)
        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield listener.getsockname()[1]
        finally:
            closing.set()
            acceptor.join()
            for thread in threads:
                thread.join()


def silent(_connection: socket.socket, closing: threading.Event) -> None:
    """Take the connection, and never answer."""
    closing.wait()


def dripping(content: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """Answer with one byte after the other, without end."""

    def serve(connection: socket.socket, closing: threading.Event) -> None:
        connection.recv(1)
        while True:
            for number in range(len(content)):
                if closing.wait(SHORT_SECONDS / 20):
                    return
                connection.sendall(content[number : number + 1])

    return serve
