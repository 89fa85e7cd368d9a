"""The parts that both composition roots build from the shared settings.

Decision 6.
"""

from collections.abc import Callable
from typing import Final

import httpx
import structlog

from producer.protocol.claims import ClaimRules
from producer.protocol.keys import KeySet
from producer.protocol.verifier import Verifier
from producer.protocol.verify_endpoint import VerifyEndpoint
from producer.shared.outgoing import check_environment, http_client
from producer.shared.settings.agreed import SharedSettings
from producer.shared.settings.environment import ENV_PREFIX
from producer.shared.settings.tokens import ANY_CLIENT

_log: Final = structlog.get_logger(__name__)


def betcore_client() -> httpx.Client:
    """Return a client of BETCORE's for calls that a thread waits for; raises SettingsError."""
    check_environment()
    return http_client()


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
        max_age_seconds=settings.jwks_max_age_seconds,
        on_fetch=on_fetch,
    )


def build_verifier(
    settings: SharedSettings, *, keys: KeySet, client: httpx.Client, lookups_at_once: int | None = None
) -> Verifier:
    """Return the verifier, with the fallback where the settings ask for it; see Verifier.

    Says so where it is to take the tokens of other partners, too.
    """
    if settings.client_ids is None:
        _log.warning(
            "token_clients_unchecked",
            why=f"{ENV_PREFIX}TOKEN_CLIENT_ID={ANY_CLIENT}: tokens for other partners credit here, too",
        )
    fallback = None
    if settings.verify_fallback:
        fallback = VerifyEndpoint(
            betcore_url=settings.betcore_url, client=client, timeout_seconds=settings.jwks_timeout_seconds
        )
    rules = ClaimRules(
        client_ids=settings.client_ids,
        leeway_seconds=settings.token_leeway_seconds,
        max_life_seconds=settings.token_max_life_seconds,
        issuer=settings.token_issuer,
        audience=settings.token_audience,
    )
    return Verifier(keys, rules=rules, fallback=fallback, lookups_at_once=lookups_at_once)
