"""The simulator's HTTP face: BETCORE's API at its own paths, and the controls under `/sim`."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deploy.local.simulator.accepts import AcceptDesk
from deploy.local.simulator.actions import OK, Action, Scripts, parse_action
from deploy.local.simulator.auth.bearers import Bearers
from deploy.local.simulator.auth.keys import KeyRing
from deploy.local.simulator.errors import InvalidToken, LogFull, SimulatorError
from deploy.local.simulator.makes import MakeOrder, MakeSender
from deploy.local.simulator.protocol.accept_body import MAX_BODY_BYTES
from deploy.local.simulator.protocol.envelope import MALFORMED
from deploy.local.simulator.protocol.paths import ACCEPT_PATH, JWKS_PATH, TOKEN_PATH, VERIFY_PATH
from deploy.local.simulator.records import Log
from deploy.local.simulator.replies import Connections, enveloped, misbehaviour
from deploy.local.simulator.settings import SimulatorSettings

SERVICE: Final = "betcore-simulator"
_ENDPOINTS: Final = ("token", "jwks", "verify")
_PARTNER_CONNECTIONS: Final = 200


class BehaviourOrder(BaseModel):
    """What `POST /sim/behaviour` asks for: an action for each endpoint named, until the next order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    accept: str | None = None
    token: str | None = None
    jwks: str | None = None
    verify: str | None = None


class RotationOrder(BaseModel):
    """What `POST /sim/rotate-keys` asks for: how long the old key stays published, in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    old_key_seconds: float = 3_600.0


class LogOrder(BaseModel):
    """What `GET /sim/log` asks for: the makes and the accepts whose ids are above these."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    makes_after: int = Field(default=0, ge=0)
    accepts_after: int = Field(default=0, ge=0)


@dataclass(slots=True)
class Simulator:
    """All that one simulator knows."""

    settings: SimulatorSettings
    clock: Callable[[], float]
    connections: Connections = field(default_factory=dict)
    behaviour: dict[str, Action] = field(default_factory=lambda: dict.fromkeys(_ENDPOINTS, OK))
    scripts: Scripts = field(init=False)
    log: Log = field(init=False)
    keys: KeyRing = field(init=False)
    bearers: Bearers = field(init=False)
    desk: AcceptDesk = field(init=False)

    def __post_init__(self) -> None:
        settings = self.settings
        self.scripts = Scripts(self.clock)
        self.log = Log(limit=settings.log_limit)
        self.keys = KeyRing(self.clock)
        self.bearers = Bearers(lifetime_seconds=settings.bearer_lifetime_seconds, clock=self.clock)
        self.desk = AcceptDesk(
            settings.accept_limit_seconds, self.bearers, self.scripts, self.log, self.connections, self.clock
        )

    async def token(self, request: Request) -> Response:
        """BETCORE's `auth/token`."""
        fields = await _json(request)
        right = {"PartnerClientId": self.settings.client_id, "Secret": self.settings.secret}
        if fields != right:
            self.log.counters.tokens_denied += 1
            return enveloped(401, status=401)
        value = {"AccessToken": self.bearers.issue(), "ExpiresIn": self.bearers.lifetime_seconds}
        self.log.counters.tokens_issued += 1
        return await self._behave("token", request, enveloped(200, value=value))

    async def jwks(self, request: Request) -> Response:
        """BETCORE's `auth/jwks`."""
        self.log.counters.jwks_served += 1
        return await self._behave("jwks", request, JSONResponse(self.keys.jwks()))

    async def verify(self, request: Request) -> Response:
        """BETCORE's `auth/verify`: the token as a bare JSON string."""
        self.log.counters.verifies += 1
        token = await _json(request)
        if not isinstance(token, str):
            return enveloped(MALFORMED)
        try:
            claims = self.keys.verify(token)
        except InvalidToken as error:
            return await self._behave("verify", request, enveloped(401, str(error), status=401))
        return await self._behave("verify", request, enveloped(200, value=claims))

    async def accept(self, request: Request) -> Response:
        """BETCORE's `cashback-payments/accept`."""
        received_at = self.clock()
        try:
            return await self.desk.take(request, await _bounded_body(request), received_at=received_at)
        except LogFull as error:
            return enveloped(102823, str(error), status=503)

    async def make(self, request: Request) -> Response:
        """`POST /sim/makes`: sign one make and send it to the partner."""
        order = MakeOrder.model_validate_json(await _bounded_body(request))
        return JSONResponse(await self._sender(request).send(order))

    async def sign(self, request: Request) -> Response:
        """`POST /sim/tokens`: sign the token of one make and return it, for whoever sends it on."""
        order = MakeOrder.model_validate_json(await _bounded_body(request))
        return JSONResponse(self._sender(request).sign(order))

    def _sender(self, request: Request) -> MakeSender:
        client: httpx.AsyncClient = request.state.client
        return MakeSender(self.settings, client, self.keys, self.scripts, self.log, self.clock)

    async def behave(self, request: Request) -> Response:
        """`POST /sim/behaviour`: how each endpoint behaves where no script says otherwise."""
        order = BehaviourOrder.model_validate_json(await _bounded_body(request))
        wanted = {
            name: parse_action(text, for_accept=False)
            for name in _ENDPOINTS
            if (text := getattr(order, name))
        }
        if order.accept:
            self.scripts.default = parse_action(order.accept)
        self.behaviour.update(wanted)
        named = {"accept": self.scripts.default, **self.behaviour}
        return JSONResponse({name: str(action) for name, action in named.items()})

    async def rotate_keys(self, request: Request) -> Response:
        """`POST /sim/rotate-keys`: sign with a new key from now on."""
        order = RotationOrder.model_validate_json(await _bounded_body(request) or b"{}")
        return JSONResponse({"kid": self.keys.rotate(old_key_seconds=order.old_key_seconds).kid})

    async def read_log(self, request: Request) -> Response:
        """`GET /sim/log`: all that happened; `makes_after` and `accepts_after` skip what was read before."""
        order = LogOrder.model_validate(dict(request.query_params))
        return JSONResponse(
            self.log.as_json(makes_after=order.makes_after, accepts_after=order.accepts_after)
        )

    async def redirected(self, _: Request) -> Response:
        """Where the action `redirect` leads; a partner must never come here."""
        self.log.counters.redirects_followed += 1
        return enveloped(200)

    async def identity(self, _: Request) -> Response:
        """`GET /sim`: what this is, for who must not take anything else for it, and whom its makes go to."""
        return JSONResponse({"service": SERVICE, "partner_url": self.settings.partner_url})

    async def healthz(self, _: Request) -> Response:
        """Alive."""
        return JSONResponse({"status": "ok"})

    async def _behave(self, endpoint: str, request: Request, honest: Response) -> Response:
        action = self.behaviour[endpoint]
        if action.name == "slow":
            await asyncio.sleep(action.seconds)
        return misbehaviour(action.name, self.connections, request=request, honest=honest)


def create_app(simulator: Simulator) -> Starlette:
    """Return the ASGI application of a simulator."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
        limits = httpx.Limits(max_connections=_PARTNER_CONNECTIONS)
        timeout = simulator.settings.make_timeout_seconds
        # No proxy of the environment stands between two programs on one machine.
        async with httpx.AsyncClient(limits=limits, timeout=timeout, trust_env=False) as client:
            yield {"client": client}

    routes = [
        Route(TOKEN_PATH, simulator.token, methods=["POST"]),
        Route(JWKS_PATH, simulator.jwks),
        Route(VERIFY_PATH, simulator.verify, methods=["POST"]),
        Route(ACCEPT_PATH, simulator.accept, methods=["POST"]),
        Route("/sim", simulator.identity),
        Route("/sim/makes", simulator.make, methods=["POST"]),
        Route("/sim/tokens", simulator.sign, methods=["POST"]),
        Route("/sim/behaviour", simulator.behave, methods=["POST"]),
        Route("/sim/rotate-keys", simulator.rotate_keys, methods=["POST"]),
        Route("/sim/log", simulator.read_log),
        Route("/sim/redirected", simulator.redirected, methods=["GET", "POST"], name="redirected"),
        Route("/healthz", simulator.healthz),
    ]
    handlers: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
        LogFull: _refuse_with(507),
        SimulatorError: _refuse_with(422),
        ValidationError: _refuse_with(422),
    }
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)


def new_simulator(settings: SimulatorSettings, *, clock: Callable[[], float] = time.time) -> Simulator:
    """Return a simulator with its first key; `clock` gives Unix seconds."""
    return Simulator(settings, clock)


def _refuse_with(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def refuse(_: Request, error: Exception) -> Response:
        reason = getattr(error, "reason", "bad_order")
        return JSONResponse({"reason": reason, "message": str(error)}, status_code=status)

    return refuse


async def _bounded_body(request: Request) -> bytes:
    # One byte above the limit is enough to tell that a body is too long.
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return body[: MAX_BODY_BYTES + 1]
    return body


async def _json(request: Request) -> Any:  # noqa: ANN401 -- JSON
    try:
        return json.loads(await _bounded_body(request))
    except (ValueError, RecursionError):
        return None
