"""Whether the receiver is alive, and whether it can take events."""

import asyncio
from collections.abc import Awaitable
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from producer.copies.errors import CopyFailed
from producer.copies.stores import MessageStore, ReceiptStore
from producer.protocol.keys import KeySet
from producer.receiver.metrics import MESSAGE, RECEIPT
from producer.receiver.two_copies import TwoCopies

CHECK_TIMEOUT_SECONDS: Final = 1.0

_OK: Final = "ok"
_AWAY: Final = "away"


class Health:
    """Answers /healthz and /readyz."""

    def __init__(
        self,
        *,
        keys: KeySet,
        verify_fallback: bool,
        receipts: ReceiptStore,
        publisher: MessageStore,
        copies: TwoCopies,
    ) -> None:
        self._keys = keys
        self._verify_fallback = verify_fallback
        self._receipts = receipts
        self._publisher = publisher
        self._copies = copies

    async def alive(self, _request: Request) -> Response:
        """Answer 200 as long as the process answers at all; nothing else is asked."""
        return JSONResponse({"alive": True})

    async def ready(self, _request: Request) -> Response:
        """Answer 200 if tokens can be verified and at least one copy can be made, 503 if not.

        Each part is named with "ok" or what is wrong with it; "away": it answers here, and makes do not yet
        wait for it.
        """
        receipts, messages = await asyncio.gather(
            self._state(RECEIPT, self._receipts.check(timeout_seconds=CHECK_TIMEOUT_SECONDS)),
            self._state(MESSAGE, self._publisher.check(timeout_seconds=CHECK_TIMEOUT_SECONDS)),
        )
        keys = self._keys_state()
        is_ready = keys != "none" and not {_OK, _AWAY}.isdisjoint({receipts, messages})
        return JSONResponse(
            {"ready": is_ready, "parts": {"keys": keys, "postgresql": receipts, "redis": messages}},
            status_code=200 if is_ready else 503,
        )

    def _keys_state(self) -> str:
        if not self._keys.is_empty:
            return _OK
        return "none, the Verify endpoint is asked" if self._verify_fallback else "none"

    async def _state(self, kind: str, check: Awaitable[None]) -> str:
        try:
            await check
        except CopyFailed as error:
            return error.reason
        return _AWAY if self._copies.is_away(kind) else _OK
