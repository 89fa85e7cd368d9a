"""TCP ports of this machine for servers that are to be started."""

import random
import socket
from typing import Final

from deploy.local.errors import NoFreePort

LOCALHOST: Final = "127.0.0.1"
# Below every usual range of ephemeral ports (Linux: 32768, IANA: 49152): no outgoing connection of
# another program can take one of these between our look and the server's bind.
_PORTS: Final = range(15_000, 32_000)
_PORT_TRIES: Final = 200


def free_port(*, rng: random.Random | None = None) -> int:
    """Return a TCP port of 127.0.0.1 that nothing listens on; raises NoFreePort."""
    candidates = (rng or random.SystemRandom()).sample(_PORTS, _PORT_TRIES)
    for port in candidates:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind((LOCALHOST, port))
            except OSError:
                continue
            return port
    raise NoFreePort
