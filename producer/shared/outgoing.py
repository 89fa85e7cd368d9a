"""The one way out to BETCORE, for every process and every call: addresses, proxies, trust, time.

Names are resolved by the system; where one has several addresses each gets its share of the time to connect.
`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` count everywhere, as reqwest reads them: of two
spellings the upper one. So does the system's trust store (`SSL_CERT_FILE` and `SSL_CERT_DIR` name another).
Every exchange, from the name to the last byte, ends by its timeout. Decision 33.
"""

import ipaddress
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar
from urllib.parse import urlsplit

import httpx
from pyreqwest.client import BaseClientBuilder, ClientBuilder, SyncClientBuilder
from pyreqwest.compatibility.httpx import SyncHttpxTransport
from pyreqwest.exceptions import PyreqwestError, RequestTimeoutError
from pyreqwest.proxy import ProxyBuilder

from producer.protocol.errors import ProducerError
from producer.shared.settings.environment import SettingsError

# Of it each address of a name gets its share: one that is silently dead costs no more.
CONNECT_SECONDS: Final = 3.0
# A connection on which nothing that was sent has arrived for so long leads nowhere.
SILENCE_SECONDS: Final = 5.0
KEEPALIVE_SECONDS: Final = 30.0
_LONGEST_SECONDS: Final = 120.0
_PROXY_VARIABLES: Final = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
_TRUST_FILE: Final = "SSL_CERT_FILE"
_NO_PROXY_VARIABLES: Final = ("NO_PROXY", "no_proxy")
_ALL_HOSTS: Final = "*"
# A last label of digits is that of an address, or of a part of one, which would match nothing.
_DOMAIN: Final = re.compile(r"\.?([a-z0-9_-]+\.)*[a-z0-9_-]*[a-z_-][a-z0-9_-]*", re.ASCII | re.IGNORECASE)

# What reqwest names among the causes where no connection came about.
_CONNECTING: Final = "client error (Connect)"

Builder = TypeVar("Builder", bound=BaseClientBuilder)


class CallFailed(ProducerError):
    """No answer came."""

    reason = "call_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer: its HTTP status, its body, and its header Retry-After."""

    status: int
    content: bytes
    retry_after: str | None


class Caller:
    """Calls that hold no thread while they wait: for one event loop."""

    def __init__(self) -> None:
        # One may pack its answers though it was asked not to.
        self._client = _configured(ClientBuilder()).gzip(enable=True).deflate(enable=True).build()

    async def post(
        self, url: str, *, headers: dict[str, str], content: bytes, timeout_seconds: float, max_bytes: int
    ) -> Reply:
        """Send one request and read the whole answer; raises CallFailed.

        A body longer than `max_bytes` is not read to its end: the answer has an empty one then.
        """
        if timeout_seconds <= 0:
            raise CallFailed("TimeoutError: no time is left to ask")
        call = self._client.post(url).headers(headers).body_bytes(content)
        request = call.timeout(timedelta(seconds=timeout_seconds)).build_streamed()
        try:
            async with request as response:
                body = bytearray()
                while len(body) <= max_bytes:
                    chunk = await response.body_reader.read(max_bytes + 1 - len(body))
                    if chunk is None:
                        break
                    body += chunk
                return Reply(
                    status=response.status,
                    content=bytes(body) if len(body) <= max_bytes else b"",
                    retry_after=response.headers.get("retry-after"),
                )
        except PyreqwestError as error:
            raise CallFailed(_reason_of(error, timeout_seconds)) from error

    async def close(self) -> None:
        """Close all connections; who waits gets CallFailed."""
        await self._client.close()


def check_environment(environ: Mapping[str, str] = os.environ) -> None:
    """Raise SettingsError where a variable of the way out says what reqwest would pass over, and name it.

    It would call BETCORE past the proxy, or through one in spite of NO_PROXY, or never, and say nothing.
    """
    for name in _PROXY_VARIABLES:
        if (url := environ.get(name)) and not _is_proxy(url):
            # Without the value, which may hold a password.
            what_to_do = "it must be an http:// or https:// URL"
            raise SettingsError(f"{name}: is no proxy that can be used: {what_to_do}")
    for name in _NO_PROXY_VARIABLES:
        hosts = environ.get(name, "")
        if not all(map(_is_readable, _entries(hosts))):
            raise SettingsError(
                f"{name}: {hosts!r} cannot be read: it must be names, domains, addresses and networks "
                "(10.0.0.0/8), separated by commas, without ports, IPv6 without brackets, or *"
            )
    if path := environ.get(_TRUST_FILE):
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
        except OSError as error:
            what_to_do = "it must be a file of the certificates (PEM) of who may vouch for BETCORE"
            raise SettingsError(f"{_TRUST_FILE}: {path!r} cannot be read ({error}): {what_to_do}") from None


def http_client() -> httpx.Client:
    """Return a client for calls that a thread waits for; their `timeout` is for the whole exchange."""
    return httpx.Client(
        transport=_WholeExchange(_configured(SyncClientBuilder()).build()),
        follow_redirects=False,
        timeout=_LONGEST_SECONDS,
    )


class _WholeExchange(SyncHttpxTransport):
    """httpx's timeouts are four, one for each kind of step; here the one for reading is that of the whole."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        seconds = request.extensions.get("timeout", {}).get("read")
        request.extensions["timeout"] = {"read": _LONGEST_SECONDS if seconds is None else seconds}
        try:
            return super().handle_request(request)
        except httpx.ConnectTimeout as error:
            if _is_of_whole_exchange(error.__cause__):
                raise httpx.ReadTimeout("no answer in time", request=request) from error
            raise


def _configured(builder: Builder) -> Builder:
    if _is_for_no_host():
        builder = builder.no_proxy()
    return (
        builder.follow_redirects(enable=False)
        .connect_timeout(timedelta(seconds=CONNECT_SECONDS))
        .timeout(timedelta(seconds=_LONGEST_SECONDS))
        .pool_idle_timeout(timedelta(seconds=KEEPALIVE_SECONDS))
        .tcp_user_timeout(timedelta(seconds=SILENCE_SECONDS))
        .gzip(enable=False)
        .brotli(enable=False)
        .zstd(enable=False)
        .deflate(enable=False)
    )


def _is_for_no_host() -> bool:
    """Whether NO_PROXY names all hosts, which reqwest alone takes for a name."""
    hosts = next((os.environ[name] for name in _NO_PROXY_VARIABLES if name in os.environ), "")
    return _ALL_HOSTS in _entries(hosts)


def _entries(hosts: str) -> list[str]:
    return [entry for each in hosts.split(",") if (entry := each.strip())]


def _is_proxy(url: str) -> bool:
    text = url if "://" in url else f"http://{url}"
    try:
        ProxyBuilder.all(text)
        parts = urlsplit(text)
        is_reachable = parts.port != 0 and bool(parts.hostname)
    except ValueError:
        return False
    return is_reachable and text == text.strip() and text.startswith(("http://", "https://"))


def _is_readable(entry: str) -> bool:
    if entry == _ALL_HOSTS or _DOMAIN.fullmatch(entry):
        return True
    address, slash, length = entry.partition("/")
    try:
        ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False
    return "%" not in address and (not slash or length.isdecimal())


def _reason_of(error: PyreqwestError, timeout_seconds: float) -> str:
    """Say what failed, by the innermost cause: it says what happened, the outer ones that something did."""
    if _is_of_whole_exchange(error):
        return f"TimeoutError: no whole answer within {timeout_seconds:.1f} s"
    causes = _causes_of(error)
    return f"{type(error).__name__}: {causes[-1] if causes else error.message}"


def _is_of_whole_exchange(error: BaseException | None) -> bool:
    """Whether the time for all of it was up: for reqwest one before the answer is one of connecting, too."""
    return isinstance(error, RequestTimeoutError) and _CONNECTING not in _causes_of(error)


def _causes_of(error: PyreqwestError) -> list[str]:
    causes = getattr(error, "details", {}).get("causes") or []
    return [str(cause["message"]) for cause in causes]
