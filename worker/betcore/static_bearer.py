"""The access token of an operator who gave one, instead of credentials for the Token endpoint."""

import time
from typing import Final

import structlog

from worker.domain.deadline import Deadline

_LOG_PAUSE_SECONDS: Final = 5.0

_log = structlog.get_logger(__name__)


class StaticBearer:
    """A token that the operator gave; nothing can renew it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._log_after = 0.0

    async def bearer(self, deadline: Deadline) -> str:  # noqa: ARG002 - the interface of all sources
        """Return the token."""
        return self._text

    def rejected(self, bearer: str) -> bool:  # noqa: ARG002 - the interface of all sources
        """Log it: only the operator can help."""
        now = time.monotonic()
        if now >= self._log_after:
            self._log_after = now + _LOG_PAUSE_SECONDS
            _log.error("bearer_rejected", hint="BETCORE rejects CASHBACK_BEARER_TOKEN: set a new one")
        return False

    def close(self) -> None:
        """There is nothing to stop."""
