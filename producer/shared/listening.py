"""Sockets that listen on both families of addresses, and on IPv4 alone where IPv6 is off."""

import errno
import socket
from typing import Final

_NO_IPV6: Final = frozenset(
    {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT, errno.ENOPROTOOPT}
)


def listen(port: int, *, backlog: int) -> socket.socket:
    """Return a socket that listens on `port` of every address of this machine; 0: on a free one.

    asyncio's own binding to `::` takes IPv6 alone, and one to `0.0.0.0` IPv4 alone. Raises OSError.
    """
    try:
        return _listening(socket.AF_INET6, port, backlog)
    except OSError as error:
        if error.errno not in _NO_IPV6:
            raise
    return _listening(socket.AF_INET, port, backlog)


def _listening(family: socket.AddressFamily, port: int, backlog: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Connections of an earlier run that are still closing do not keep the port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(("", port))
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener
