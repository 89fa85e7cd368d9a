"""TLS before a server that has none: the wheels' Valkey and PostgreSQL are built without it.

It takes who speaks TLS from the first byte, who asks for it as PostgreSQL's clients do, and who speaks none
(a sentinel that watches the server), all on one port.
"""

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

_HANDSHAKE = 0x16
# Its length and its code, see "SSLRequest" in PostgreSQL's protocol.
_SSL_REQUEST = bytes.fromhex("00000008 04d2162f")
_CHUNK_BYTES = 65_536
_FIRST_WORD_SECONDS = 60.0


@dataclass
class TlsServer:
    """What came to the port, so far."""

    port: int
    target_port: int
    context: ssl.SSLContext
    with_tls: int = 0
    without_tls: int = 0
    refused: int = 0
    received_bytes: int = 0

    async def serve(self, client: socket.socket) -> None:
        """Serve one connection to its end."""
        client.settimeout(_FIRST_WORD_SECONDS)
        try:
            context = await asyncio.to_thread(self._agreed, client)
            client.setblocking(False)
            near, to_near = await _streams(client, context)
        except (OSError, ssl.SSLError):
            self.refused += 1
            client.close()
            return
        self.with_tls += context is not None
        self.without_tls += context is None
        writers = [to_near]
        try:
            far, to_far = await asyncio.open_connection("127.0.0.1", self.target_port)
            writers.append(to_far)
            await asyncio.gather(_copy(self._counted(near), to_far), _copy(_chunks(far), to_near))
        except OSError:
            # The server is away, which its clients are to see.
            pass
        finally:
            for writer in writers:
                writer.transport.abort()

    async def _counted(self, source: asyncio.StreamReader) -> AsyncIterator[bytes]:
        async for chunk in _chunks(source):
            self.received_bytes += len(chunk)
            yield chunk

    def _agreed(self, client: socket.socket) -> ssl.SSLContext | None:
        first = client.recv(len(_SSL_REQUEST), socket.MSG_PEEK)
        if first[:1] == bytes([_HANDSHAKE]):
            return self.context
        if first == _SSL_REQUEST:
            client.recv(len(_SSL_REQUEST))
            client.sendall(b"S")
            return self.context
        return None


async def _streams(
    client: socket.socket, context: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_accepted_socket(lambda: protocol, client, ssl=context)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def _chunks(source: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while chunk := await source.read(_CHUNK_BYTES):
        yield chunk


async def _copy(source: AsyncIterator[bytes], sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        async for chunk in source:
            sink.write(chunk)
            await sink.drain()
        sink.close()


@contextmanager
def tls_before(target_port: int, context: ssl.SSLContext) -> Iterator[TlsServer]:
    """Run TLS before a port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        server = TlsServer(listener.getsockname()[1], target_port, context)
        loop = asyncio.new_event_loop()
        ends = asyncio.Event()
        thread = threading.Thread(target=loop.run_until_complete, args=(_run(server, listener, ends),))
        thread.start()
        try:
            yield server
        finally:
            loop.call_soon_threadsafe(ends.set)
            thread.join()
            loop.close()


async def _run(server: TlsServer, listener: socket.socket, ends: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    async def accept() -> None:
        while True:
            client, _ = await loop.sock_accept(listener)
            tasks.add(task := asyncio.create_task(server.serve(client)))
            task.add_done_callback(tasks.discard)

    tasks: set[asyncio.Task[None]] = set()
    accepting = asyncio.create_task(accept())
    await ends.wait()
    for each in (accepting, *tasks):
        each.cancel()
    await asyncio.gather(accepting, *tasks, return_exceptions=True)
    # What was aborted is closed by the loop, in its next round.
    await asyncio.sleep(0.05)
    await loop.shutdown_default_executor()
