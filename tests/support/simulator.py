"""The simulated BETCORE on a port of its own, the partner that it calls, and what is often asked of it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from deploy.local.ports import free_port
from deploy.local.processes import wait_until
from deploy.local.simulator.app import new_simulator
from deploy.local.simulator.protocol.envelope import SUCCESS, envelope
from deploy.local.simulator.protocol.paths import ACCEPT_PATH, MAKE_PATH, TOKEN_PATH
from deploy.local.simulator.server import new_server
from deploy.local.simulator.settings import DEFAULT_CLIENT_ID, SimulatorSettings

CREDENTIALS: Final = {"PartnerClientId": DEFAULT_CLIENT_ID, "Secret": "s3cret"}
LOG_LIMIT: Final = 20


class Clock:
    """A wall clock that can be moved forward."""

    def __init__(self) -> None:
        self.ahead_seconds = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_seconds


class Partner:
    """The other end of makes: takes them over HTTP at `url` and keeps what arrived."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[tuple[str, bytes]] = []

    async def make(self, request: Request) -> JSONResponse:
        """Keep a make and say 200."""
        self.requests.append((request.headers["content-type"], await request.body()))
        return JSONResponse(envelope(SUCCESS))


@contextmanager
def listening_partner() -> Iterator[Partner]:
    """Yield a partner that takes makes."""
    port = free_port()
    partner = Partner(f"http://127.0.0.1:{port}")
    app = Starlette(routes=[Route(MAKE_PATH, partner.make, methods=["POST"])])
    with _serving(uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))):
        yield partner


@contextmanager
def simulated_betcore(*, partner_url: str, clock: Callable[[], float]) -> Iterator[httpx.Client]:
    """Yield a client of a new simulator."""
    settings = SimulatorSettings(partner_url=partner_url, secret=CREDENTIALS["Secret"], log_limit=LOG_LIMIT)
    port = free_port()
    server = new_server(new_simulator(settings, clock=clock), host="127.0.0.1", port=port)
    with _serving(server), httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
        yield client


def send_make(betcore: httpx.Client, **order: object) -> dict[str, Any]:
    """Have a make sent to the partner; return what the simulator says of it."""
    response = betcore.post("/sim/makes", json={"cashback_id": 480, "user_id": "7", "amount": "10", **order})
    assert response.status_code == 200, response.text
    result: dict[str, Any] = response.json()
    return result


def bearer_of(betcore: httpx.Client) -> dict[str, str]:
    """Return the header of a new access token."""
    reply = betcore.post(TOKEN_PATH, json=CREDENTIALS).json()
    return {"Authorization": f"Bearer {reply['Value']['AccessToken']}"}


def accept_body(**value: object) -> dict[str, Any]:
    """Return the body of a good accept, with these members of Value."""
    members = {
        "CashbackId": 480,
        "PartnerUserId": "7",
        "PartnerTransactionId": "480-1",
        "TransactionType": 1,
        "Amount": 10,
        "TaxAmount": 0,
    }
    return envelope(SUCCESS, value={**members, **value})


def accept(betcore: httpx.Client, body: dict[str, Any] | None = None) -> httpx.Response:
    """Send an accept, a good one if none is given, with a new access token."""
    return betcore.post(ACCEPT_PATH, json=body or accept_body(), headers=bearer_of(betcore))


def last_accept(betcore: httpx.Client) -> dict[str, Any]:
    """Return the log's last entry of an accept."""
    entry: dict[str, Any] = betcore.get("/sim/log").json()["accepts"][-1]
    return entry


@contextmanager
def _serving(server: uvicorn.Server) -> Iterator[None]:
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started, what="the server listens", timeout_seconds=120)
        yield
    finally:
        server.should_exit = True
        thread.join()
