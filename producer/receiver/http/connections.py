"""The connections that a receiver has open: how many, of whom, and which of them give way. Decision 37."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from producer.shared.addresses import source_of_peer
from producer.shared.log_tally import LogTally

DELAYED: Final = "cashback.answer_delayed"
"""Stands in the scope of a request whose answer is delayed: its connection is not busy."""

_LOOKS_PER_TIMEOUT: Final = 4

_log: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections there may be, in all and of one address, and how long a request may take to come.

    `timeout_seconds` is for the head of a request, for a peer that does not take what is written to it, and
    for a connection that is being closed. `large_bodies`: how many bytes a body may have on the wire, by
    path, where that is more than make's.
    """

    connections: int
    per_address: int
    timeout_seconds: float
    large_bodies: Mapping[str, int] = field(default_factory=dict)


class Connection(ABC):
    """One connection, as far as its being open goes."""

    until: float | None = None
    """When `overdue` is to be called, by the loop's clock."""

    @abstractmethod
    def is_closing(self) -> bool:
        """Return whether it is being closed."""

    @abstractmethod
    def is_busy(self) -> bool:
        """Return whether it has a whole request in hand, and a peer that takes the answer."""

    @abstractmethod
    def was_used(self) -> bool:
        """Return whether a request has come since this was last asked."""

    @abstractmethod
    def overdue(self) -> None:
        """End what did not come in time."""

    @abstractmethod
    def give_way(self) -> None:
        """Close at once, for another connection."""


@dataclass(slots=True)
class _Address:
    name: str
    connections: dict[Connection, None] = field(default_factory=dict)


class Connections:
    """All open connections of a server. For one event loop.

    Where room is needed, one is closed that has no whole request in hand: of the same address where that has
    its share, of all where there is no room left. It is the one that has waited longest, but for those that
    were used since they were last looked at. So whoever connects has as long for its request as it takes all
    others to be replaced.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        # In the order in which they are looked at.
        self._of: dict[Connection, _Address] = {}
        self._addresses: dict[str, _Address] = {}
        self._look_handle: asyncio.TimerHandle | None = None
        self._told = LogTally()

    def __len__(self) -> int:
        return len(self._of)

    def add(self, connection: Connection, peer: str) -> bool:
        """Take in a new connection, which waits; return False where there is no room for it."""
        name = source_of_peer(peer)
        address = self._addresses.get(name)
        if address is not None and len(address.connections) >= self.limits.per_address:
            self.tell("address_has_its_share", name)
            if not self._make_room(address.connections):
                return False
        elif len(self._of) >= self.limits.connections:
            self.tell("too_many_connections", name)
            if not self._make_room(self._of):
                return False
        address = self._addresses.setdefault(name, _Address(name))
        address.connections[connection] = None
        self._of[connection] = address
        self._look_later()
        return True

    def remove(self, connection: Connection) -> None:
        """Forget a connection, if it is not forgotten."""
        address = self._of.pop(connection, None)
        if address is None:
            return
        del address.connections[connection]
        if not address.connections:
            del self._addresses[address.name]

    def tell(self, reason: str, client: str) -> None:
        """Log why a connection was closed, at most once a second for each reason."""
        self._told.tell(
            _log.warning,
            "connection_closed",
            per=reason,
            reason=reason,
            client=client,
            connections=len(self._of),
        )

    def _make_room(self, among: dict[Connection, Any]) -> bool:
        # Twice: what was used has a second chance, and only one.
        for _ in range(2 * len(among)):
            oldest = next(iter(among))
            if not oldest.is_busy() and not oldest.was_used():
                self.remove(oldest)
                oldest.give_way()
                return True
            among[oldest] = among.pop(oldest)
        return False

    def _look_later(self) -> None:
        if self._look_handle is None:
            pause = self.limits.timeout_seconds / _LOOKS_PER_TIMEOUT
            self._look_handle = asyncio.get_running_loop().call_later(pause, self._look)

    def _look(self) -> None:
        """End what is overdue: one look for all costs less than a timer for each."""
        self._look_handle = None
        now = asyncio.get_running_loop().time()
        for connection in list(self._of):
            if connection.until is not None and connection.until <= now:
                connection.overdue()
            elif connection.until is None and connection.is_closing():
                connection.until = now + self.limits.timeout_seconds
        if self._of:
            self._look_later()


class LingeringTransport(asyncio.Transport):
    """What an answer is written to that comes before its request is whole."""

    def __init__(self, transport: asyncio.Transport, linger: Callable[[], None]) -> None:
        super().__init__()
        self._transport = transport
        self._linger = linger

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write to the peer."""
        self._transport.write(data)

    def is_closing(self) -> bool:
        """Return whether the connection is being closed."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Close when the peer has had time to read."""
        self._linger()
