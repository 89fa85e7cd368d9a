"""The access tokens that the simulator gave out."""

import secrets
from collections.abc import Callable
from typing import Final

MAX_BEARERS: Final = 10_000


class Bearers:
    """Access tokens and when they end; the oldest goes where there are too many."""

    def __init__(self, *, lifetime_seconds: float, clock: Callable[[], float]) -> None:
        self.lifetime_seconds = lifetime_seconds
        self._clock = clock
        self._ends_at: dict[str, float] = {}

    def issue(self) -> str:
        """Return a new access token."""
        if len(self._ends_at) >= MAX_BEARERS:
            del self._ends_at[next(iter(self._ends_at))]
        token = secrets.token_urlsafe(32)
        self._ends_at[token] = self._clock() + self.lifetime_seconds
        return token

    def allows(self, authorization: str | None) -> bool:
        """Whether an Authorization header carries a token that is good now (RFC 6750)."""
        scheme, _, token = (authorization or "").partition(" ")
        return scheme.lower() == "bearer" and self._clock() < self._ends_at.get(token, 0.0)

    def revoke_all(self) -> None:
        """Let no token that was given out so far work again."""
        self._ends_at.clear()
