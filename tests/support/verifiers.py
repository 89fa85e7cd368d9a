"""Verifiers of a BETCORE that is a WSGI application, and the moment at which they are asked."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import httpx

from producer.protocol.claims import ClaimRules
from producer.protocol.keys import KeySet
from producer.protocol.verifier import Verifier
from producer.protocol.verify_endpoint import VerifyEndpoint
from tests.support.betcore import Endpoints

BASE_URL: Final = "http://betcore.test"
AT: Final = 1_800_000_000
NOW: Final = datetime.fromtimestamp(AT + 1, tz=UTC)


RULES: Final = ClaimRules(client_ids=None, leeway_seconds=5, max_life_seconds=300)


def verifier_of(  # noqa: PLR0913 - what a test may want to be otherwise, keyword-only
    endpoints: Endpoints,
    *,
    fetched: bool = True,
    fallback: bool = False,
    rules: ClaimRules = RULES,
    clock: Callable[[], float] = lambda: 0.0,
    lookups_at_once: int | None = None,
) -> Verifier:
    """Return a verifier that asks these endpoints; `fallback` lets it ask Verify where it has no key."""
    client = httpx.Client(transport=httpx.WSGITransport(endpoints))
    keys = KeySet(
        betcore_url=BASE_URL,
        client=client,
        refresh_seconds=300,
        unknown_key_seconds=10,
        timeout_seconds=3,
        retired_key_seconds=30,
        max_age_seconds=86_400,
        clock=clock,
    )
    if fetched:
        keys.fetch()
    endpoint = None
    if fallback:
        endpoint = VerifyEndpoint(betcore_url=BASE_URL, client=client, timeout_seconds=3, clock=clock)
    return Verifier(keys, rules=rules, fallback=endpoint, lookups_at_once=lookups_at_once)
