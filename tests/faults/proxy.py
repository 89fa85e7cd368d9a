"""A TCP proxy that breaks connections in the ways networks do. It runs in a thread of its own."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections import Counter
from collections.abc import Coroutine, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from deploy.local.ports import LOCALHOST, free_port
from tests.faults.errors import ProxyFailed

MAX_CHUNK_BYTES: Final = 65_536
_START_SECONDS: Final = 60.0
_CONNECT_SECONDS: Final = 5.0

Result = TypeVar("Result")


class Direction(StrEnum):
    """Which way bytes go."""

    REQUESTS = "requests"
    REPLIES = "replies"


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What the proxy does to all connections until it is told otherwise. The default passes everything.

    `hold`: bytes in these directions are taken and not passed on; both together make a half-open
    connection. `latency_seconds` delays every chunk. `byte_seconds` passes replies one byte at a time with
    this pause after each; requests stay whole, because one that was sent in time and kept on its way arrives
    late through nobody's fault. `refuse`: nobody listens, and what is connected is cut.
    """

    hold: frozenset[Direction] = frozenset()
    latency_seconds: float = 0.0
    byte_seconds: float = 0.0
    refuse: bool = False


PASS: Final = Behaviour()
HALF_OPEN: Final = Behaviour(hold=frozenset(Direction))
HOLD_REQUESTS: Final = Behaviour(hold=frozenset({Direction.REQUESTS}))
HOLD_REPLIES: Final = Behaviour(hold=frozenset({Direction.REPLIES}))
REFUSE: Final = Behaviour(refuse=True)


class Proxy:
    """Listens on `port` of 127.0.0.1 inside a `with` block and passes connections on to `target_port`."""

    def __init__(self, *, target_port: int) -> None:
        self.port = free_port()
        self._target_port = target_port
        self._behaviour = PASS
        self._changed: asyncio.Event
        self._loop: asyncio.AbstractEventLoop
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self._held: Counter[Direction] = Counter()
        self._thread = threading.Thread(target=self._run, name=f"proxy-{self.port}", daemon=True)
        self._started: Future[None] = Future()

    @property
    def url(self) -> str:
        """Where it listens, for HTTP."""
        return f"http://{LOCALHOST}:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._started.result(_START_SECONDS)
        except (OSError, TimeoutError) as error:
            raise ProxyFailed(f"the proxy of port {self._target_port}: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def behave(self, behaviour: Behaviour) -> None:
        """Behave so from now on, towards connections that exist too. What was held and may pass goes on."""
        self._call(self._behave(behaviour))

    def cut(self) -> int:
        """Reset all connections, with what is held of them; returns how many there were."""
        return self._call(self._cut())

    def held(self, direction: Direction) -> int:
        """Return how many connections have bytes that are held in this direction."""
        return self._call(self._count_held(direction))

    def _call(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            self._changed = asyncio.Event()
            start = self._loop.create_task(self._listen())
            start.add_done_callback(self._report_start)
            self._loop.run_forever()

    def _report_start(self, start: asyncio.Task[None]) -> None:
        if error := start.exception():
            self._started.set_exception(error)
            self._loop.stop()
        else:
            self._started.set_result(None)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._link, LOCALHOST, self.port)

    async def _stop(self) -> None:
        await self._behave(REFUSE)

    async def _behave(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._changed.set()
        self._changed = asyncio.Event()
        if behaviour.refuse and self._server is not None:
            self._server.close()
            self._server = None
            await self._cut()
        elif not behaviour.refuse and self._server is None:
            await self._listen()

    async def _cut(self) -> int:
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)
        return len(links)

    async def _count_held(self, direction: Direction) -> int:
        return self._held[direction]

    async def _link(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or self._behaviour.refuse:
            to_client.transport.abort()
            return
        self._links.add(task)
        writers = [to_client]
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                server, to_server = await asyncio.open_connection(LOCALHOST, self._target_port)
            writers.append(to_server)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(client, to_server, Direction.REQUESTS))
                pumps.create_task(self._pump(server, to_client, Direction.REPLIES))
        except (OSError, ExceptionGroup, asyncio.CancelledError):
            # One side is gone, or the link is cut on purpose: neither side may take that for a good end.
            _reset(writers)
        finally:
            self._links.discard(task)
            for writer in writers:
                writer.close()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, direction: Direction
    ) -> None:
        while data := await source.read(MAX_CHUNK_BYTES):
            await self._wait_until_free(direction)
            await self._pass_on(data, sink, direction)
        await self._wait_until_free(direction)
        with contextlib.suppress(OSError):  # the other side was faster
            sink.write_eof()

    async def _wait_until_free(self, direction: Direction) -> None:
        if direction not in self._behaviour.hold:
            return
        self._held[direction] += 1
        try:
            while direction in self._behaviour.hold:
                await self._changed.wait()
        finally:
            self._held[direction] -= 1

    async def _pass_on(self, data: bytes, sink: asyncio.StreamWriter, direction: Direction) -> None:
        if self._behaviour.latency_seconds:
            await asyncio.sleep(self._behaviour.latency_seconds)
        rest = data
        while rest and self._behaviour.byte_seconds and direction is Direction.REPLIES:
            sink.write(rest[:1])
            await sink.drain()
            rest = rest[1:]
            await asyncio.sleep(self._behaviour.byte_seconds)
        sink.write(rest)
        await sink.drain()


def _reset(writers: Iterable[asyncio.StreamWriter]) -> None:
    for writer in writers:
        # With no time to linger, closing sends a reset instead of an end (socket(7), SO_LINGER).
        peer: socket.socket | None = writer.get_extra_info("socket")
        if peer is not None and peer.fileno() >= 0:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
