"""BETCORE's side of the receiver for tests: signs tokens, and serves its keys and its Verify endpoint."""

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from cryptography.hazmat.primitives.asymmetric import rsa

from deploy.local.simulator.protocol.envelope import envelope
from deploy.local.simulator.protocol.jose import KEY_BITS, new_private_key, rsa_jwk, signed_token
from deploy.local.simulator.protocol.make_token import make_claims, make_header
from deploy.local.simulator.protocol.paths import JWKS_PATH, VERIFY_PATH
from deploy.local.simulator.settings import DEFAULT_CLIENT_ID

ISSUER = "https://identity-api.betcore.test"
CLIENT_ID = DEFAULT_CLIENT_ID


@dataclass(frozen=True)
class Signer:
    """One signing key of BETCORE's."""

    kid: str
    private_key: rsa.RSAPrivateKey

    def jwk(self, **overrides: object) -> dict[str, object]:
        """Return the public key as BETCORE publishes it; an override of None leaves a member out."""
        return _given(rsa_jwk(self.private_key.public_key(), kid=self.kid) | overrides)

    def sign(self, payload: bytes, **header: object) -> str:
        """Sign a payload; members of the header can be added or replaced, and None leaves one out."""
        members = make_header(kid=self.kid, x5t="x" * 27) | header
        return signed_token(_given(members), payload, key=self.private_key)

    def token(self, *, at: float, data: object = None, **overrides: object) -> str:
        """Return a token as BETCORE makes it, valid for 10 s from `at` (Unix seconds).

        `data` is a JSON value that is put into a string, or a string that is taken as it is. An override of
        None leaves the claim out.
        """
        claims = make_claims(
            nbf=int(at),
            exp=int(at) + 10,
            issuer=ISSUER,
            client_id=CLIENT_ID,
            data=data if isinstance(data, str) else json.dumps(cashback() if data is None else data),
        )
        return self.sign(json.dumps(_given(claims | overrides)).encode())


def _given(members: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in members.items() if value is not None}


def cashback(cashback_id: int = 480, **overrides: object) -> dict[str, object]:
    """Return the data of a payout."""
    return {
        "CashbackId": cashback_id,
        "PartnerUserId": "188509",
        "TransactionType": 1,
        "Amount": "1000.50",
        "TaxAmount": "0",
    } | overrides


@cache
def signer(number: int, *, bits: int = KEY_BITS) -> Signer:
    """Return a key of BETCORE's, always the same one for the same number."""
    return Signer(f"{number:040x}", new_private_key(bits=bits))


Reply = tuple[int, bytes]


@dataclass
class Endpoints:
    """The keys and Verify endpoints as a WSGI application, for a client in the process or over real HTTP."""

    keys: Reply = (503, b"")
    verify: Reply = (503, b"")
    headers: dict[str, str] = field(default_factory=dict)
    fetches: int = 0
    asked: list[str] = field(default_factory=list)
    gate: threading.Event | None = None

    def publish(self, *signers: Signer) -> None:
        """Publish these keys."""
        self.publish_members(*(each.jwk() for each in signers))

    def publish_members(self, *members: object) -> None:
        """Publish these members of a key set, whatever they are."""
        self.keys = (200, json.dumps({"keys": members}).encode())

    def answer_verify(self, error_code: int, *, status: int = 200) -> None:
        """Let the Verify endpoint answer with this envelope."""
        self.verify = (status, json.dumps(envelope(error_code)).encode())

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == JWKS_PATH:
            self.fetches += 1
            if self.gate is not None:
                self.gate.wait(30)
            status, body = self.keys
        elif environ["PATH_INFO"] == VERIFY_PATH:
            self.asked.append(json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))))
            status, body = self.verify
        else:
            status, body = 404, b""
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body))} | self.headers
        start_response(f"{status} Answer", list(headers.items()))
        return [body]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Keep the test output to the tests' own."""


@contextmanager
def served(endpoints: Endpoints) -> Iterator[str]:
    """Serve the endpoints over real HTTP; gives the base URL."""
    with make_server("127.0.0.1", 0, endpoints, server_class=_Server, handler_class=_QuietHandler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
