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
from producer.receiver.pause import IntakePause
from producer.receiver.two_copies import TwoCopies

CHECK_TIMEOUT_SECONDS: Final = 1.0
FRESH_SECONDS: Final = 1.0
"""For how long an answer is given again: however often somebody asks, the servers are asked once."""

_OK: Final = "ok"
_AWAY: Final = "away"


class Health:
    """Answers /healthz and /readyz."""

    def __init__(  # noqa: PLR0913 - all are named where it is built
        self,
        *,
        keys: KeySet,
        verify_fallback: bool,
        receipts: ReceiptStore,
        publisher: MessageStore,
        copies: TwoCopies,
        pause: IntakePause,
    ) -> None:
        self._keys = keys
        self._verify_fallback = verify_fallback
        self._receipts = receipts
        self._publisher = publisher
        self._copies = copies
        self._pause = pause
        self._asking: asyncio.Task[None] | None = None
        self._asked_at = float("-inf")
        self._answer: tuple[dict[str, object], int] = ({}, 503)

    async def alive(self, _request: Request) -> Response:
        """Answer 200 as long as the process answers at all; nothing else is asked."""
        return JSONResponse({"alive": True})

    async def ready(self, _request: Request) -> Response:
        """Answer 200 if tokens can be verified and at least one copy can be made, 503 if not.

        Each part is named with "ok" or what is wrong with it; "away": it answers here, and makes do not yet
        wait for it. Makes that are refused for the backlog or a pause leave it at 200: who takes the receiver
        out of its balancer for them would have makes go nowhere, and partners not see how their events stand.
        """
        loop = asyncio.get_running_loop()
        if self._asking is None and loop.time() - self._asked_at >= FRESH_SECONDS:
            self._asking = loop.create_task(self._ask(), name="readiness")
        if self._asking is not None:
            # Whoever goes away meanwhile leaves the answer to the others.
            await asyncio.shield(self._asking)
        document, status = self._answer
        return JSONResponse(document, status_code=status)

    async def _ask(self) -> None:
        try:
            self._answer = await self._look()
            self._asked_at = asyncio.get_running_loop().time()
        finally:
            self._asking = None

    async def _look(self) -> tuple[dict[str, object], int]:
        receipts, messages = await asyncio.gather(
            self._state(RECEIPT, self._receipts.check(timeout_seconds=CHECK_TIMEOUT_SECONDS)),
            self._state(MESSAGE, self._publisher.check(timeout_seconds=CHECK_TIMEOUT_SECONDS)),
        )
        keys = self._keys_state()
        is_ready = keys != "none" and not {_OK, _AWAY}.isdisjoint({receipts, messages})
        parts = {"keys": keys, "postgresql": receipts, "redis": messages}
        if self._pause.sentence is not None:
            parts["intake"] = self._pause.sentence
        return {"ready": is_ready, "parts": parts}, 200 if is_ready else 503

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
