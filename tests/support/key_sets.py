"""A set of BETCORE's keys on a clock that stands until it is moved."""

from collections.abc import Callable
from dataclasses import dataclass

import httpx

from producer.protocol.keys import KeySet
from tests.support.betcore import Endpoints


@dataclass
class Clock:
    """A clock that stands until it is moved, in seconds."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def key_set(
    betcore: Endpoints, *, clock: Callable[[], float], on_fetch: Callable[[str], None] | None = None
) -> KeySet:
    """Return the keys that these endpoints publish, not fetched yet."""
    return KeySet(
        betcore_url="http://betcore.test",
        client=httpx.Client(transport=httpx.WSGITransport(betcore)),
        refresh_seconds=300,
        unknown_key_seconds=10,
        timeout_seconds=3,
        retired_key_seconds=30,
        max_age_seconds=86_400,
        on_fetch=on_fetch,
        clock=clock,
    )
