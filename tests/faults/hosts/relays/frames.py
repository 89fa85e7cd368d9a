"""Passes frames on between pairs of network devices, each frame later than it came.

A program of its own, which needs nothing but Python: `python frames.py [DEVICE:DEVICE:LEAST_MS:MOST_MS]...`.
Both devices are ends of cables in a namespace that has no address, so that nobody else answers there. The
header before each frame is the kernel's own word about checksums and segments that are still to be made
(`PACKET_VNET_HDR` in packet(7)): without it what one host sends to another of the same machine is not whole.
"""

import random
import selectors
import socket
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

# Not in `socket`: linux/if_packet.h, asm/socket.h.
_SOL_PACKET = 263
_PACKET_VNET_HDR = 15
_SO_RCVBUFFORCE = 33
_ALL_PROTOCOLS = 3
_BUFFER_BYTES = 8 * 1024 * 1024
# A segment that the kernel has not cut yet, with both headers.
_MAX_BYTES = 70_000
# Far above what the suite sends in the longest delay. A router drops, too.
MAX_HELD = 20_000


@dataclass(slots=True)
class Way:
    """One direction: frames leave in the order in which they came. Times are seconds of one clock."""

    source: socket.socket
    sink: socket.socket
    least: float
    most: float
    held: deque[tuple[float, bytes]] = field(default_factory=deque)

    def take(self) -> None:
        """Take all that has come."""
        while True:
            try:
                frame, address = self.source.recvfrom(_MAX_BYTES)
            except BlockingIOError:
                return
            # What we send by this device ourselves is seen here, too.
            if address[2] != socket.PACKET_OUTGOING and len(self.held) < MAX_HELD:
                due = time.monotonic() + random.uniform(self.least, self.most)  # noqa: S311 -- no secret
                self.held.append((max(due, self.held[-1][0]) if self.held else due, frame))

    def pass_on(self) -> float | None:
        """Send what is due; return when the next frame is."""
        while self.held and self.held[0][0] <= time.monotonic():
            self.sink.send(self.held.popleft()[1])
        return self.held[0][0] if self.held else None


def main(lines: Sequence[str]) -> None:
    """Pass frames on until killed; says `passing` when it does."""
    ways = [way for line in lines for way in _both_ways(*line.split(":"))]
    with selectors.DefaultSelector() as selector:
        for way in ways:
            selector.register(way.source, selectors.EVENT_READ, way)
        sys.stdout.write("passing\n")
        sys.stdout.flush()
        next_due: float | None = None
        while True:
            wait = None if next_due is None else max(0.0, next_due - time.monotonic())
            for key, _ in selector.select(wait):
                key.data.take()
            next_due = min((due for way in ways if (due := way.pass_on()) is not None), default=None)


def _both_ways(one: str, other: str, least_ms: str, most_ms: str) -> tuple[Way, Way]:
    here, there = _opened(one), _opened(other)
    least, most = float(least_ms) / 1000, float(most_ms) / 1000
    return Way(here, there, least, most), Way(there, here, least, most)


def _opened(device: str) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    opened.setblocking(False)
    opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
    opened.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
    opened.bind((device, _ALL_PROTOCOLS))
    return opened


if __name__ == "__main__":
    main(sys.argv[1:])
