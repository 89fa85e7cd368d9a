"""The HTTP server of the receiver: uvicorn on a socket of ours, which both families of addresses reach."""

import os
import socket
from contextlib import suppress
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from producer.receiver.events.service import MAX_EVENTS_WIRE_BYTES
from producer.receiver.http.connections import ConnectionLimits, Connections
from producer.receiver.http.protocol import bounded_http
from producer.receiver.paths import EVENTS_PATH
from producer.shared.listening import listen
from producer.shared.process import connections_allowed
from producer.shared.settings.environment import ENV_PREFIX
from producer.shared.settings.receiver import ReceiverSettings

GRACEFUL_SECONDS: Final = 10
"""How long requests under way may take once the server is asked to end."""
_BACKLOG: Final = 2048
# Longer than the usual idle time-out of a load balancer, which is to be the one that hangs up.
_KEEP_ALIVE_SECONDS: Final = 75


class PortTaken(Exception):
    """The port cannot be listened on. The text is a sentence for an operator."""


class Server:
    """Serves an application until a signal ends it, which then ends the process, or until `stop`."""

    def __init__(self, app: ASGIApp, limits: ConnectionLimits) -> None:
        config = uvicorn.Config(
            app,
            loop="uvloop",
            http=bounded_http(Connections(limits)),
            ws="none",
            lifespan="on",
            # The composition root has set up all logging.
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACEFUL_SECONDS,
        )
        self._server = uvicorn.Server(config)

    @property
    def has_started(self) -> bool:
        """Whether it serves, or has served."""
        return self._server.started

    def run(self, *, port: int, inner_port: int | None = None) -> bool:
        """Serve on one port or on both; returns whether it has started at all. Raises PortTaken."""
        listeners = [_listening(port, setting="PORT")]
        if inner_port is not None:
            listeners.append(_listening(inner_port, setting=f"{ENV_PREFIX}INNER_PORT"))
        with suppress(KeyboardInterrupt):
            self._server.run(sockets=listeners)
        return self._server.started

    def stop(self) -> None:
        """End in good order, from any thread."""
        self._server.should_exit = True


def _listening(port: int, *, setting: str) -> socket.socket:
    try:
        return listen(port, backlog=_BACKLOG)
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise PortTaken(
            f"port {port} cannot be listened on ({why}): stop what has it, or set {setting} to another one"
        ) from error


def limits_of(settings: ReceiverSettings) -> ConnectionLimits:
    """Return the limits that the settings ask for, as far as this process may have so many files open."""
    connections = connections_allowed(
        settings.max_connections, database_connections=settings.receiver_database_pool_size
    )
    return ConnectionLimits(
        connections=connections,
        per_address=min(connections, settings.max_connections_per_address or max(1, connections // 2)),
        timeout_seconds=settings.request_timeout_seconds,
        large_bodies={EVENTS_PATH: MAX_EVENTS_WIRE_BYTES} if settings.has_partners else {},
    )
