"""Makes whose verification failed: a few of one source are answered at once, others late. Decision 40."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog
from starlette.types import Receive, Scope

from producer.receiver.http.buckets import Buckets, Rate
from producer.receiver.http.clients import Client
from producer.receiver.http.connections import DELAYED
from producer.shared.log_tally import LogTally

BURST_SECONDS: Final = 5
"""A bucket holds what comes back in this time."""
DELAY_SECONDS: Final = 1.0
"""How long an answer is delayed."""
MAX_DELAYED: Final = 128
"""So many answers are delayed; others are not, as each keeps a connection, of a load balancer's, too."""

_log: Final = structlog.get_logger(__name__)


class FailedVerifications:
    """Slows down whoever goes on sending what BETCORE did not sign, and nobody else.

    All makes may come from one address, so nothing may be refused, or be looked at later, for its address: a
    good make is answered without being counted here. `on_delay` hears of each answer that is delayed.
    """

    def __init__(
        self,
        *,
        per_second: float,
        on_delay: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._buckets = Buckets()
        self._rate = Rate(per_second=per_second, burst=max(1, round(BURST_SECONDS * per_second)))
        self._on_delay = on_delay
        self._monotonic = monotonic
        self._told = LogTally()
        self._delayed = 0

    async def failed(self, client: Client, scope: Scope, receive: Receive) -> None:
        """Count one of this client; where it has had too many wait, unless it goes away."""
        has_token = not self._buckets.take(client.source, self._rate, at=self._monotonic())
        if has_token or self._delayed >= MAX_DELAYED:
            return
        self._on_delay()
        self._told.tell(
            _log.warning, "answers_delayed", per="delayed", client=client.source, delayed=self._delayed + 1
        )
        # Its connection may give way to another one meanwhile.
        scope[DELAYED] = True
        self._delayed += 1
        try:
            async with asyncio.timeout(DELAY_SECONDS):
                while (await receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            pass
        finally:
            self._delayed -= 1
