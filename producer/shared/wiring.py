"""The parts that both composition roots build from the shared settings.

Decision 6.
"""

import os
from collections.abc import Callable
from typing import Final

import httpx

from producer.protocol.keys import KeySet
from producer.protocol.verifier import Verifier
from producer.protocol.verify_endpoint import VerifyEndpoint
from producer.shared.outgoing import http_client
from producer.shared.settings import SettingsError, SharedSettings

_UNREADABLE: Final = (httpx.InvalidURL, ImportError, ValueError)


def betcore_client() -> httpx.Client:
    """Return a client of BETCORE's for calls that a thread waits for; raises SettingsError."""
    check_proxies()
    return http_client()


def check_proxies() -> None:
    """Raise SettingsError where a proxy variable of the environment cannot be read, and name it."""
    try:
        httpx.Client().close()
    except _UNREADABLE:
        raise SettingsError(_unreadable_proxy()) from None


def _unreadable_proxy() -> str:
    # As httpx reads them, which makes a transport of each; nothing is sent by these.
    for kind in ("http", "https", "all"):
        name, url = _variable(f"{kind}_proxy")
        try:
            httpx.HTTPTransport(proxy=url if "://" in url else f"http://{url}", verify=False).close()
        except _UNREADABLE:
            # Without the value, which may hold a password.
            return f"{name}: is no proxy that can be used: it must be an http:// or https:// URL"
    name, hosts = _variable("no_proxy")
    return (
        f"{name}: {hosts!r} cannot be read: it must be names, domains and addresses, separated by commas, "
        "IPv6 without brackets"
    )


def _variable(name: str) -> tuple[str, str]:
    """Return a variable as it is spelt, and what it says; the lower case comes first."""
    return next(
        ((each, os.environ[each]) for each in (name, name.upper()) if os.environ.get(each)), (name, "x")
    )


def build_keys(
    settings: SharedSettings,
    *,
    client: httpx.Client,
    retired_key_seconds: float,
    on_fetch: Callable[[str], None] | None = None,
) -> KeySet:
    """Return the set of BETCORE's keys, empty until it is started or fetched; see KeySet."""
    return KeySet(
        betcore_url=settings.betcore_url,
        client=client,
        refresh_seconds=settings.jwks_refresh_seconds,
        unknown_key_seconds=settings.jwks_unknown_key_seconds,
        timeout_seconds=settings.jwks_timeout_seconds,
        retired_key_seconds=retired_key_seconds,
        on_fetch=on_fetch,
    )


def build_verifier(settings: SharedSettings, *, keys: KeySet, client: httpx.Client) -> Verifier:
    """Return the verifier, with the fallback where the settings ask for it."""
    fallback = None
    if settings.verify_fallback:
        fallback = VerifyEndpoint(
            betcore_url=settings.betcore_url, client=client, timeout_seconds=settings.jwks_timeout_seconds
        )
    return Verifier(
        keys,
        leeway_seconds=settings.token_leeway_seconds,
        issuer=settings.token_issuer,
        client_id=settings.token_client_id,
        fallback=fallback,
    )
