"""Which path is answered by what, and on which port."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from producer.receiver.answers import Answer
from producer.receiver.health import Health
from producer.receiver.metrics import ReceiverMetrics

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


def routes(
    makes: Route,
    health: Health,
    metrics: ReceiverMetrics,
    *,
    lifespan: Lifespan,
    inner_port: int | None = None,
) -> ASGIApp:
    """Return the application; what shows its inside is served on the inner port alone where there is one."""

    async def show_metrics(_request: Request) -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    alive = Route("/healthz", health.alive)
    inside = [Route("/readyz", health.ready), Route("/metrics", show_metrics)]
    if inner_port is None:
        return _MakesFirst(makes, _application([makes, alive, *inside], lifespan))
    outer = _MakesFirst(makes, _application([makes, alive], lifespan))
    return _ByPort({inner_port: _application([alive, *inside])}, outer)


class _MakesFirst:
    """Makes go straight to the receiver, all else through the application's routes.

    Only a shortcut: the application has the receiver among its routes.
    """

    def __init__(self, makes: Route, application: ASGIApp) -> None:
        self._path = makes.path
        self._receiver = makes.app
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as an ASGI application."""
        is_make = scope["type"] == "http" and scope["path"] == self._path and scope["method"] == "POST"
        await (self._receiver if is_make else self._application)(scope, receive, send)


class _ByPort:
    """A port of ours has an application of its own, whatever the request says of where it goes."""

    def __init__(self, of_port: dict[int, ASGIApp], other: ASGIApp) -> None:
        self._of_port = of_port
        self._other = other

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the beginning and the end of the process, as an ASGI application."""
        port = scope["server"][1] if scope["type"] == "http" else 0
        await self._of_port.get(port, self._other)(scope, receive, send)


def _application(served: list[Route], lifespan: Lifespan | None = None) -> Starlette:
    app = Starlette(routes=served, exception_handlers={HTTPException: _in_envelope}, lifespan=lifespan)
    # A redirect would turn a make with a slash too many into a second call; it is answered 404 instead.
    app.router.redirect_slashes = False
    return app


async def _in_envelope(_request: Request, error: Exception) -> Response:
    status, headers = HTTPStatus.NOT_FOUND, {}
    if isinstance(error, HTTPException):
        status, headers = HTTPStatus(error.status_code), dict(error.headers or {})
    return Answer(status, status, status.phrase, "rejected", "no_route", headers).response()
