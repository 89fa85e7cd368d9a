"""Attacks by requests that do not end: heads and bodies that are long, slow, or both."""

import asyncio
import time
from contextlib import suppress
from typing import Final

from producer.app import MAKE_PATH
from tests.siege.senders.plans import AttackOrders, Tally

_PIECE: Final = b"a" * 65_536
_OPEN_SECONDS: Final = 2.0
_BYTE_SECONDS: Final = 1.0
# So many connections are opened in a second, at the beginning.
_OPENS_PER_SECOND: Final = 2_000
_POST: Final = f"POST {MAKE_PATH} HTTP/1.1\r\nhost: x\r\n".encode("ascii")
_STATUS: Final = slice(9, 12)
_BUFFER_BYTES: Final = 65_536


class Stall:
    """Holds `connections` in its way; one that is closed is opened again after `pause_seconds`."""

    def __init__(self, orders: AttackOrders, tally: Tally) -> None:
        self.orders = orders
        self.tally = tally
        self._attack = {
            "head": self._long_head,
            "unfinished": self._unfinished_head,
            "slow body": self._slow_body,
            "endless body": self._endless_body,
        }[orders.kind]

    async def run(self, ends_at: float) -> None:
        """Attack until then."""
        connections = [
            asyncio.create_task(self._again_and_again(number, ends_at))
            for number in range(self.orders.connections)
        ]
        try:
            await asyncio.sleep(max(0.0, ends_at - time.monotonic()))
        finally:
            for each in connections:
                each.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _again_and_again(self, number: int, ends_at: float) -> None:
        await asyncio.sleep(number / _OPENS_PER_SECOND)
        source = self.orders.sources[number % len(self.orders.sources)]
        while time.monotonic() < ends_at:
            await self._once(source)
            await asyncio.sleep(self.orders.pause_seconds)

    async def _once(self, source: str) -> None:
        orders = self.orders
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                reader, writer = await asyncio.open_connection(
                    orders.host, orders.port, local_addr=(source, 0), limit=_BUFFER_BYTES
                )
        except (OSError, TimeoutError):
            self.tally.not_opened += 1
            return
        self.tally.opened += 1
        self.tally.requests += 1
        try:
            # A receiver that hangs up is what this one is about.
            with suppress(OSError):
                await self._attack(reader, writer)
            self.tally.lost += 1
        finally:
            writer.transport.abort()

    async def _long_head(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._send(writer, _POST + b"x-long: ")
        left = self.orders.size_bytes
        while left > 0:
            await self._send(writer, _PIECE[:left])
            left -= len(_PIECE)
        await self._send(writer, b"\r\n\r\n")
        await self._read(reader)

    async def _unfinished_head(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._send(writer, _POST)
        while await self._read(reader):
            pass

    async def _slow_body(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._send(writer, _POST + b"content-length: %d\r\n\r\n" % self.orders.size_bytes)
        closed = asyncio.ensure_future(self._read(reader))
        try:
            while not closed.done():
                await self._send(writer, b"a")
                await asyncio.wait({closed}, timeout=_BYTE_SECONDS)
            await closed
        finally:
            closed.cancel()

    async def _endless_body(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._send(writer, _POST + b"content-length: %d\r\n\r\n" % self.orders.size_bytes)
        while True:
            await self._send(writer, _PIECE)

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        self.tally.bytes_sent += len(data)
        await writer.drain()

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        reply = await reader.read(_BUFFER_BYTES)
        if reply.startswith(b"HTTP/1.1 "):
            self.tally.answered(reply[_STATUS].decode("ascii"))
        return reply
