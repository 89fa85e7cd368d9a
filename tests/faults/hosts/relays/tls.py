"""TLS before the PostgreSQL of a host: the wheel's is built without it.

A program of its own: `python -m tests.faults.hosts.relays.tls PORT TARGET_PORT [NAME:CERTIFICATE:KEY]...`. It
shows the first certificate, and after each SIGHUP the next one. After each SIGHUP, and at its end, it prints
one line of JSON: by name, how many came while that certificate was shown, and what they sent.
"""

import asyncio
import json
import signal
import socket
import ssl
import sys
from collections.abc import Sequence

from tests.support.tls_server import TlsServer

_BACKLOG = 128


class Relay:
    """Takes connections and serves each with what is shown at that moment."""

    def __init__(self, servers: dict[str, TlsServer]) -> None:
        self._servers = servers
        self._order = list(servers)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, listener: socket.socket, ends: asyncio.Event) -> None:
        """Serve until told to end."""
        accepting = asyncio.create_task(self._accept(listener))
        await ends.wait()
        self._say()
        for task in (accepting, *self._tasks):
            task.cancel()
        await asyncio.gather(accepting, *self._tasks, return_exceptions=True)

    def show_next(self) -> None:
        """Show the next certificate from now on."""
        self._order.append(self._order.pop(0))
        self._say()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(listener)
            task = loop.create_task(self._servers[self._order[0]].serve(client))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _say(self) -> None:
        told = {
            name: {"came": each.with_tls + each.without_tls + each.refused, "sent_bytes": each.received_bytes}
            for name, each in self._servers.items()
        }
        sys.stdout.write(json.dumps({"shown": self._order[0], **told}) + "\n")
        sys.stdout.flush()


async def main(port: int, target_port: int, certificates: Sequence[str]) -> None:
    """Serve until SIGTERM."""
    servers = {}
    for each in certificates:
        name, certificate, key = each.split(":")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        servers[name] = TlsServer(port, target_port, context)
    relay, ends, loop = Relay(servers), asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, relay.show_next)
    loop.add_signal_handler(signal.SIGTERM, ends.set)
    with socket.create_server(("0.0.0.0", port), backlog=_BACKLOG) as listener:
        listener.setblocking(False)
        await relay.run(listener, ends)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
