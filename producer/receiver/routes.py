"""Which path is answered by what, and on which port."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from producer.receiver.answers import Answer
from producer.receiver.events.handler import problem
from producer.receiver.health import Health
from producer.receiver.metrics import ReceiverMetrics
from producer.receiver.openapi.document import rendered
from producer.receiver.openapi.operations import route
from producer.receiver.paths import EVENTS_PATH

NO_ROUTE: Final = "no_route"

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]
OnError = Callable[[Request, Exception], Awaitable[Response]]


def routes(  # noqa: PLR0913 - all are named where it is built
    makes: Route,
    health: Health,
    metrics: ReceiverMetrics,
    *,
    partners: Sequence[Route] = (),
    lifespan: Lifespan,
    inner_port: int | None = None,
) -> ASGIApp:
    """Return the application; what shows its inside is served on the inner port alone where there is one."""

    async def show_metrics(_request: Request) -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    document = rendered()

    async def show_document(_request: Request) -> Response:
        return Response(document, media_type="application/json")

    alive = route("alive", health.alive)
    inside = [route("ready", health.ready), route("metrics", show_metrics)]
    served = [makes, *partners, route("document", show_document), alive]
    on_error = _as_problem if partners else _in_envelope
    if inner_port is None:
        return _MakesFirst(makes, _application([*served, *inside], lifespan, on_error))
    outer = _MakesFirst(makes, _application(served, lifespan, on_error))
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


async def _in_envelope(_request: Request, error: Exception) -> Response:
    status, headers = _status_of(error)
    return Answer(status, status, status.phrase, "rejected", NO_ROUTE, headers).response()


async def _as_problem(request: Request, error: Exception) -> Response:
    """Answer for the paths of partners in their form, and for others in BETCORE's."""
    if not request.url.path.startswith(EVENTS_PATH):
        return await _in_envelope(request, error)
    status, headers = _status_of(error)
    return problem(status, NO_ROUTE, status.phrase, headers)


def _status_of(error: Exception) -> tuple[HTTPStatus, dict[str, str]]:
    if isinstance(error, HTTPException):
        return HTTPStatus(error.status_code), dict(error.headers or {})
    return HTTPStatus.NOT_FOUND, {}


def _application(
    served: Sequence[Route], lifespan: Lifespan | None = None, on_error: OnError = _in_envelope
) -> Starlette:
    app = Starlette(routes=served, exception_handlers={HTTPException: on_error}, lifespan=lifespan)
    # A redirect would turn a make with a slash too many into a second call; it is answered 404 instead.
    app.router.redirect_slashes = False
    return app
