"""A BETCORE as cheap as can be: it publishes a key, hands out a bearer, acknowledges accepts, notes them.

`python -m tests.benchmarks.betcore PORT JWKS_FILE`. One process, one event loop, no HTTP library: it must
not be what a benchmark measures. It understands what HTTP clients of this service send: requests with a
Content-Length, on connections that are kept.

GET /bench/state, GET /bench/arrivals and POST /bench/reset are for the runner.
"""

import asyncio
import json
import re
import signal
import struct
import sys
import time
from array import array
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, cast

import httpx
import uvloop

from deploy.local.ports import LOCALHOST
from deploy.local.simulator.protocol.envelope import SUCCESS, envelope
from deploy.local.simulator.protocol.paths import ACCEPT_PATH, JWKS_PATH, TOKEN_PATH
from tests.benchmarks.errors import BenchmarkFailed

STATE_PATH: Final = "/bench/state"
ARRIVALS_PATH: Final = "/bench/arrivals"
RESET_PATH: Final = "/bench/reset"
# Where the bare hops of HTTP go.
HEALTH_PATH: Final = "/healthz"
# What is kept of each accept; the rest of a run that is longer is counted only.
ARRIVALS_LIMIT: Final = 2_000_000
HEAD_LIMIT_BYTES: Final = 16_384
BODY_LIMIT_BYTES: Final = 65_536
_ARRIVAL: Final = struct.Struct("<qqq")
_CLIENT_SECONDS: Final = 30.0
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d{1,9})\r\n", re.IGNORECASE)
_CODE: Final = re.compile(rb'"ErrorCode": *(\d+)')
_CASHBACK: Final = re.compile(rb'"CashbackId": *(\d+)')


def reply(body: bytes, *, status: bytes = b"200 OK", content_type: bytes = b"application/json") -> bytes:
    """Return a whole HTTP response."""
    head = b"HTTP/1.1 %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n"
    return head % (status, content_type, len(body)) + body


ACKNOWLEDGED: Final = reply(json.dumps(envelope(SUCCESS), separators=(",", ":")).encode())
BEARER: Final = reply(b'{"AccessToken":"bench","ExpiresIn":86400}')
NOTHING: Final = reply(b"{}")
UNKNOWN: Final = reply(b"{}", status=b"404 Not Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class BetcoreState:
    """What has arrived since the last reset; times are the machine's monotonic clock, 0 before the first."""

    accepts: int
    successes: int
    first_ns: int
    last_ns: int


class Records:
    """The accepts that have arrived: how many, and of each its cashback, its moment and its code."""

    def __init__(self) -> None:
        self.accepts = 0
        self.successes = 0
        self._last_ns = 0
        self._arrivals = array("q")

    def take(self, body: bytes) -> int:
        """Note one accept; return its cashback."""
        self._last_ns = time.monotonic_ns()
        code, cashback = _CODE.search(body), _CASHBACK.search(body)
        number = int(code[1]) if code else 0
        cashback_id = int(cashback[1]) if cashback else 0
        self.accepts += 1
        self.successes += number == SUCCESS
        if self.accepts <= ARRIVALS_LIMIT:
            self._arrivals.extend((cashback_id, self._last_ns, number))
        return cashback_id

    def reset(self) -> None:
        """Forget all."""
        self.accepts = self.successes = self._last_ns = 0
        self._arrivals = array("q")

    def state(self) -> BetcoreState:
        """Return the counts."""
        first_ns = self._arrivals[1] if self._arrivals else 0
        return BetcoreState(
            accepts=self.accepts, successes=self.successes, first_ns=first_ns, last_ns=self._last_ns
        )

    def arrivals(self) -> bytes:
        """Return the arrivals, each as three little-endian 64-bit integers."""
        kept = self._arrivals
        if sys.byteorder == "big":
            kept = array("q", kept)
            kept.byteswap()
        return kept.tobytes()


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, records: Records, key_set: bytes) -> None:
        self._records = records
        self._fixed = {
            TOKEN_PATH: BEARER,
            JWKS_PATH: key_set,
            RESET_PATH: NOTHING,
            HEALTH_PATH: NOTHING,
        }
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        # uvloop's transports are of classes of its own.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer every whole request that has come."""
        buffer = self._buffer + data if self._buffer else data
        while (end := buffer.find(b"\r\n\r\n")) >= 0:
            found = _LENGTH.search(buffer, 0, end + 2)
            begin = end + 4
            length = int(found[1]) if found else 0
            if length > BODY_LIMIT_BYTES:
                self._transport.close()
                return
            if len(buffer) < begin + length:
                break
            self._transport.write(self._answer(buffer, buffer[begin : begin + length]))
            buffer = buffer[begin + length :]
        self._buffer = buffer
        if len(buffer) > HEAD_LIMIT_BYTES + BODY_LIMIT_BYTES:
            self._transport.close()

    def _answer(self, head: bytes, body: bytes) -> bytes:
        """Return what is to be written now."""
        if head.startswith(_ACCEPT):
            self._records.take(body)
            return ACKNOWLEDGED
        path = head.split(b" ", 2)[1].decode("ascii", "replace")
        if path == RESET_PATH:
            self._records.reset()
        if path == STATE_PATH:
            return reply(json.dumps(asdict(self._records.state())).encode())
        if path == ARRIVALS_PATH:
            return reply(self._records.arrivals(), content_type=b"application/octet-stream")
        return self._fixed.get(path, UNKNOWN)


_ACCEPT: Final = f"POST {ACCEPT_PATH} ".encode()


class BetcoreClient:
    """The runner's view of it."""

    def __init__(self, base_url: str) -> None:
        self._client = httpx.Client(base_url=base_url, timeout=_CLIENT_SECONDS, trust_env=False)

    def state(self) -> BetcoreState:
        """Return what has arrived since the last reset."""
        return BetcoreState(**self._client.get(STATE_PATH).raise_for_status().json())

    def reset(self) -> None:
        """Forget what has arrived."""
        self._client.post(RESET_PATH).raise_for_status()

    def arrivals(self) -> list[tuple[int, int, int]]:
        """Return each accept's (CashbackId, monotonic nanoseconds, ErrorCode); raises BenchmarkFailed."""
        state = self.state()
        content = self._client.get(ARRIVALS_PATH).raise_for_status().content
        if state.accepts > ARRIVALS_LIMIT:
            raise BenchmarkFailed(f"{state.accepts} accepts are more than betcore keeps")
        return list(_ARRIVAL.iter_unpack(content))

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


async def serve(port: int, new_connection: Callable[[], Connection]) -> None:
    """Serve until SIGTERM."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    server = await loop.create_server(new_connection, LOCALHOST, port, backlog=2048)
    await stopped.wait()
    server.close()


def main(port: int, key_set: bytes) -> None:
    """Serve with records of its own."""
    records, keys = Records(), reply(key_set)
    uvloop.run(serve(port, lambda: Connection(records, keys)))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]).read_bytes())
