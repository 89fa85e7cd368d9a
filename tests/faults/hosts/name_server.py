"""A server of names for all hosts, which can fall silent."""

import socket
import struct
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Final, Self

from tests.faults.hosts.errors import HostsUnavailable

PORT: Final = 53
_HEADER: Final = struct.Struct("!6H")
_KIND: Final = struct.Struct("!2H")
_ADDRESS: Final = struct.Struct("!3HIH4s")
# The name of the question, once more.
_SAME_NAME: Final = 0xC00C
_IPV4: Final = 1
_INTERNET: Final = 1
_ANSWER: Final = 0x8180
_NO_SUCH_NAME: Final = 3
_MAX_BYTES: Final = 512
_POLL_SECONDS: Final = 0.1


class NameServer:
    """Answers on UDP for these names inside a `with` block, each with its IPv4 addresses (RFC 1035).

    No answer may be kept: each connection that is made asks.
    """

    def __init__(self, address: str, names: Mapping[str, Collection[str]]) -> None:
        self._names = {name.encode("ascii"): addresses for name, addresses in names.items()}
        self._address = address
        self._is_silent = threading.Event()
        self._closing = threading.Event()
        self._socket: socket.socket
        self._thread = threading.Thread(target=self._run, name="name-server", daemon=True)
        self.unanswered: set[str] = set()
        """The addresses of those that ever asked while it was silent."""
        self.answered: set[str] = set()
        """The addresses of those that were answered since then."""

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind((self._address, PORT))
        except OSError as error:
            self._socket.close()
            raise HostsUnavailable(f"no server of names at {self._address}, port {PORT}: {error}") from None
        self._socket.settimeout(_POLL_SECONDS)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing.set()
        self._thread.join()
        self._socket.close()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Answer nobody: whoever asks waits for as long as he likes."""
        self._is_silent.set()
        try:
            yield
        finally:
            self.answered.clear()
            self._is_silent.clear()

    def _run(self) -> None:
        while not self._closing.is_set():
            with suppress(TimeoutError):
                question, asker = self._socket.recvfrom(_MAX_BYTES)
                if self._is_silent.is_set():
                    self.unanswered.add(asker[0])
                else:
                    self._socket.sendto(answer_to(question, self._names), asker)
                    self.answered.add(asker[0])


def answer_to(question: bytes, names: Mapping[bytes, Collection[str]]) -> bytes:
    """Return the answer to a question of a resolver, which has one name and no more."""
    number, *_ = _HEADER.unpack_from(question)
    labels, at = list[bytes](), _HEADER.size
    while length := question[at]:
        labels.append(question[at + 1 : at + 1 + length])
        at += 1 + length
    asked = question[_HEADER.size : at + 1 + _KIND.size]
    kind, _ = _KIND.unpack_from(question, at + 1)
    addresses = names.get(b".".join(labels).lower())
    given = [
        _ADDRESS.pack(_SAME_NAME, _IPV4, _INTERNET, 0, 4, socket.inet_aton(address))
        for address in (addresses or ())
        if kind == _IPV4
    ]
    flags = _ANSWER if addresses is not None else _ANSWER | _NO_SUCH_NAME
    return _HEADER.pack(number, flags, 1, len(given), 0, 0) + asked + b"".join(given)
