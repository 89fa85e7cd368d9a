"""The simulator on uvicorn."""

import uvicorn

from deploy.local.simulator.app import Simulator, create_app
from deploy.local.simulator.replies import protocol_for

_SHUTDOWN_SECONDS = 2
# Longer than any client keeps an idle connection: one that is closed just as it is used fails its call.
_KEEP_ALIVE_SECONDS = 75


def new_server(simulator: Simulator, *, host: str, port: int) -> uvicorn.Server:
    """Return a server that is ready to run; `slow` answers still under way end with it."""
    return uvicorn.Server(
        uvicorn.Config(
            create_app(simulator),
            host=host,
            port=port,
            http=protocol_for(simulator.connections),
            ws="none",
            access_log=False,
            log_level="warning",
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        )
    )
