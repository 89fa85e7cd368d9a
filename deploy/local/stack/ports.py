"""On which ports the stack is: fixed ones, so that a bookmark holds, and others where those are taken."""

import contextlib
import errno
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import psutil  # type: ignore[import-untyped]  # ships no type information

from deploy.local.ports import free_port

FIRST_PORT: Final = 14_000
"""Of `make up`: below what `free_port` gives, and not usual for anything."""
SERVICES: Final = ("receiver", "simulator", "flower", "valkey", "postgres")
"""The processes that have a port, by their names in the stack, in the order of their ports."""
_EVERYWHERE: Final = {socket.AF_INET: "", socket.AF_INET6: "::"}


@dataclass(frozen=True, slots=True)
class ChosenPort:
    """The port of a process; `instead` says why it is not the fixed one, None where it is."""

    number: int
    instead: str | None = None


def choose_ports(first_port: int | None) -> Mapping[str, ChosenPort]:
    """Return a port for each process: from `first_port` on, or without one any that are free.

    Raises NoFreePort.
    """
    if first_port is None:
        return {service: ChosenPort(free_port()) for service in SERVICES}
    return {service: _chosen(service, first_port + place) for place, service in enumerate(SERVICES)}


def _chosen(service: str, wanted: int) -> ChosenPort:
    if not is_taken(wanted):
        return ChosenPort(wanted)
    number = free_port()
    return ChosenPort(
        number,
        f"Port {wanted} is taken by {_holder(wanted)}: {service} is on {number} this time",
    )


def is_taken(port: int) -> bool:
    """Whether a program listens on this TCP port, on whichever address of this machine."""
    return any(_is_taken(family, address, port) for family, address in _EVERYWHERE.items())


def _is_taken(family: socket.AddressFamily, address: str, port: int) -> bool:
    try:
        probe = socket.socket(family, socket.SOCK_STREAM)
    except OSError:
        # No IPv6 here.
        return False
    with probe:
        # As servers do: connections of the last run that are still being closed are no listener.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            return error.errno in {errno.EADDRINUSE, errno.EACCES}
    return False


def _holder(port: int) -> str:
    # Whose socket it is the system tells only of one's own processes, to whoever is not root.
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    return "another program"
