"""What reaches the receiver's port: any bytes, in any pieces, on one connection."""

import asyncio
import re
from typing import Any, Final

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from producer.protocol.errors import NotAToken
from producer.receiver.answers import RECEIVED, NotReceived, answer_to
from producer.receiver.http.body import read_body, token_in
from producer.receiver.http.connections import ConnectionLimits, Connections
from producer.receiver.http.protocol import bounded_http
from tests.fuzz.samples import TOKEN
from tests.fuzz.target import Target

_LIMITS: Final = ConnectionLimits(connections=10, per_address=10, timeout_seconds=3_600)
_STATUS: Final = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")
_FORESEEN: Final = {b"100", b"200", b"400", b"401", b"408", b"413", b"431"}
_STEPS: Final = 12


async def _application(scope: Scope, receive: Receive, send: Send) -> None:
    """Do as the receiver does until it has the token."""
    answer = RECEIVED
    try:
        token_in(await read_body(scope, receive, timeout_seconds=3_600))
    except (NotReceived, NotAToken) as error:
        answer = answer_to(error)
    await answer.response()(scope, receive, send)


_CONFIG: Final = uvicorn.Config(_application, log_config=None, access_log=False, ws="none", lifespan="off")


class _Wire(asyncio.Transport):
    """A connection whose other end takes all that is written to it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.written = bytearray()
        self.is_closed = False
        self.is_at_its_end = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.is_at_its_end, "written behind its end"
        if not self.is_closed:
            self.written += data

    def write_eof(self) -> None:
        self.is_at_its_end = True

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """Be read as before: what was under way comes all the same."""

    def resume_reading(self) -> None:
        """Be read."""


def check_connection(data: bytes) -> None:
    """Demand that nothing is sent but answers of the receiver's, whatever comes in whichever pieces."""
    size = 1 + data[0] if data else 1
    with asyncio.Runner() as runner:
        written = runner.run(_served(data[1:], piece_bytes=size * (1 if size < 128 else 64)))
    assert not written or written.startswith(b"HTTP/1.1 ")
    assert set(_STATUS.findall(written)) <= _FORESEEN


async def _served(data: bytes, *, piece_bytes: int) -> bytes:
    wire, state = _Wire(), ServerState()
    application_state: dict[str, Any] = {}
    protocol: Any = bounded_http(Connections(_LIMITS))
    connection = protocol(_CONFIG, state, application_state)
    connection.connection_made(wire)
    for start in range(0, len(data), piece_bytes):
        if wire.is_closed:
            break
        connection.data_received(data[start : start + piece_bytes])
        await _steps(1)
    await _steps(_STEPS)
    if not wire.is_closed:
        connection.overdue()
        await _steps(_STEPS)
    connection.connection_lost(None)
    await _steps(_STEPS)
    assert not state.tasks, "an answer is under way on a connection that is gone"
    return bytes(wire.written)


async def _steps(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


_POST: Final = b"POST /cashback-payments/make HTTP/1.1\r\nHost: x\r\n"
_BODY: Final = TOKEN.encode()


def _sent(*lines: bytes, body: bytes = _BODY, pieces: int = 255) -> bytes:
    return bytes([pieces]) + _POST + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


TARGETS: Final = (
    Target(
        name="connection",
        check=check_connection,
        share=1,
        seeds=(
            _sent(b"Content-Length: %d" % len(_BODY)),
            _sent(b"Content-Length: %d" % len(_BODY), b"Expect: 100-continue", pieces=9),
            _sent(
                b"Transfer-Encoding: chunked", body=b"3\r\na.b\r\n2;x=y\r\n.c\r\n0\r\nX: y\r\n\r\n", pieces=0
            ),
            _sent(b"Content-Length: 5", body=b"a.b.c" + _POST + b"Content-Length: 5\r\n\r\na.b.c"),
            _sent(b"Content-Length: 99999999999999999999999"),
            _sent(b"Connection: upgrade", b"Upgrade: websocket", b"Content-Length: 5", body=b"a.b.cX"),
            _sent(b"Content-Length: 40000", body=b"a" * 3_000),
            b"\xffGET /%ff HTTP/1.0\r\n\r\nGET * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            b"\x10PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ),
        words=(
            *(
                _POST,
                b"\r\n",
                b"\r\n\r\n",
                b"Content-Length: ",
                b"Transfer-Encoding: chunked\r\n",
                b"chunked",
            ),
            *(b"Connection: close\r\n", b"Expect: 100-continue\r\n", b"0\r\n\r\n", b"ffffffffffffffff\r\n"),
            *(
                b"HEAD ",
                b"CONNECT x:1",
                b"OPTIONS *",
                b"http://[",
                b" HTTP/1.0",
                b"HTTP/9.9",
                b"\0",
                b"\x80",
                b"%zz",
            ),
        ),
        chosen=1,
    ),
)
