"""Accept, Token, keys and Verify through a real proxy: all of them, or none where NO_PROXY says so."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import pytest

from producer.protocol.keys import JWKS_PATH, KeySet
from producer.protocol.verify_endpoint import VERIFY_PATH, VerifyEndpoint
from producer.shared.outgoing import Caller, check_environment, http_client
from tests.support.betcore import signer
from tests.support.certificates import Authority
from tests.support.event_loop import loop_thread
from tests.support.http_proxy import http_proxy
from tests.support.raw_betcore import Peer, Request, by_path, reply, serving
from worker.betcore.accept import ACCEPT_PATH, AcceptClient, Verdict
from worker.betcore.static_bearer import StaticBearer
from worker.betcore.token_endpoint import TOKEN_PATH, TokenEndpoint
from worker.domain.deadline import Deadline

TIMEOUT_SECONDS: Final = 60.0
VARIABLES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
PATHS: Final = [JWKS_PATH, VERIFY_PATH, TOKEN_PATH, ACCEPT_PATH]


def keys(peer: Peer, connection: socket.socket, request: Request) -> None:
    reply(200, json.dumps({"keys": [signer(1).jwk()]}).encode())(peer, connection, request)


BETCORE: Final = by_path(
    jwks=keys,
    verify=reply(200),
    token=reply(200, b'{"AccessToken": "t", "ExpiresIn": 100}'),
    accept=reply(200),
)


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@contextmanager
def betcore(tls_in: Path | None) -> Iterator[Peer]:
    """Run a BETCORE, over TLS where there is a directory for its certificates."""
    if tls_in is None:
        with serving(BETCORE) as peer:
            yield peer
        return
    authority = Authority(tls_in, "authority")
    with serving(BETCORE, tls=authority.server_context(authority.holder("betcore"))) as peer:
        yield peer


def call_all(url: str) -> None:
    """Call BETCORE in each of the four ways, with clients that are made now."""
    check_environment()
    with http_client() as client, loop_thread() as loop:
        key_set = KeySet(
            betcore_url=url,
            client=client,
            refresh_seconds=300,
            unknown_key_seconds=0,
            timeout_seconds=TIMEOUT_SECONDS,
            retired_key_seconds=0,
            max_age_seconds=86_400,
        )
        key_set.fetch()
        verify = VerifyEndpoint(betcore_url=url, client=client, timeout_seconds=TIMEOUT_SECONDS)
        assert verify.vouches_for("a.b.c")
        token = TokenEndpoint(client, base_url=url, credentials={}, timeout_seconds=TIMEOUT_SECONDS)
        assert token.fetch().text == "t"
        accept = AcceptClient(Caller(), base_url=url, bearers=StaticBearer("static"))
        answer = loop.run(
            accept.send(b"{}", Deadline(time.monotonic() + TIMEOUT_SECONDS), lambda: lambda _: None)
        )
        loop.run(accept.close())
    assert answer.verdict is Verdict.ACKNOWLEDGED


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_each_call_goes_through_the_proxy_with_its_login(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with http_proxy() as proxy, betcore(None) as peer:
        monkeypatch.setenv(variable, proxy.url.replace("//", "//user:pass%40word@"))
        call_all(peer.url)

    assert [line.removeprefix("GET ").removeprefix("POST ") for line in proxy.asked] == [
        peer.url + path for path in PATHS
    ]
    assert [request.path for request in peer.requests] == PATHS
    assert set(proxy.logins) == {"Basic dXNlcjpwYXNzQHdvcmQ="}


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "all_proxy"])
def test_over_tls_it_is_asked_to_connect_and_reads_nothing(
    variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with http_proxy() as proxy, betcore(tmp_path) as peer:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        monkeypatch.setenv(variable, proxy.url)
        call_all(peer.url)

    assert set(proxy.asked) == {f"CONNECT {peer.url.removeprefix('https://')}"}
    assert [request.path for request in peer.requests] == PATHS


@pytest.mark.parametrize(
    ("variables", "calls"),
    [
        ({"NO_PROXY": "127.0.0.1"}, 0),
        ({"no_proxy": "127.0.0.1"}, 0),
        ({"NO_PROXY": "betcore.test, 127.0.0.0/8"}, 0),
        ({"NO_PROXY": "*"}, 0),
        ({"no_proxy": "betcore.test,*"}, 0),
        ({"NO_PROXY": "::1,betcore.test,10.0.0.0/8"}, 4),
        # Of two spellings the upper one counts.
        ({"NO_PROXY": "betcore.test", "no_proxy": "*"}, 4),
        ({"NO_PROXY": "*", "no_proxy": "betcore.test"}, 0),
        # For URLs of the other kind.
        ({"HTTP_PROXY": "", "HTTPS_PROXY": "http://127.0.0.1:1"}, 0),
        ({"HTTP_PROXY": "", "http_proxy": "http://127.0.0.1:1"}, 0),
    ],
)
def test_no_proxy_and_the_spellings_count_for_each_call(
    variables: Mapping[str, str], calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with http_proxy() as proxy, betcore(None) as peer:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        call_all(peer.url)

    assert len(proxy.asked) == calls
    assert [request.path for request in peer.requests] == PATHS


@pytest.mark.parametrize(("hosts", "calls"), [("localhost", 0), (".localhost", 0), ("host", 2)])
def test_a_domain_stands_for_itself_and_for_what_is_below_it(
    hosts: str, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(reply(200)) as proxy, http_client_through(proxy, hosts, monkeypatch) as client:
        for name in ("localhost", "betcore.localhost"):
            # Nobody is at that port: whoever does not ask the proxy gets no answer.
            with contextlib.suppress(httpx.TransportError):
                client.get(f"http://{name}:1/", timeout=TIMEOUT_SECONDS)

    assert len(proxy.requests) == calls


@contextmanager
def http_client_through(proxy: Peer, hosts: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", hosts)
    with http_client() as client:
        yield client
