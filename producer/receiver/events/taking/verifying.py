"""The tokens of partners are verified a few at a time: whoever else is served goes between. Decision 43."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Final, TypeVar

from producer.protocol.claims import VerifiedToken
from producer.protocol.errors import KeysUnavailable, LookupNeeded
from producer.protocol.verifier import Verifier

AT_A_TIME: Final = 5
"""So many are verified without a break, which takes a fifth of a millisecond."""
MAX_LOOKUPS: Final = 10
"""Of one request; beyond it what has an unknown key is to be sent again."""

_LOOKUP_THREADS: Final = 2

Item = TypeVar("Item")


class Turns:
    """Has the event loop do a little of some long work at a time, one of all such works, each in its turn."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def each(self, items: Sequence[Item], work: Callable[[Item], None]) -> None:
        """Do `work` for each, and let the loop serve others after every few."""
        for start in range(0, len(items), AT_A_TIME):
            async with self._turn:
                for item in items[start : start + AT_A_TIME]:
                    work(item)
                # What has come meanwhile goes before the next few, of whomever they are.
                await asyncio.sleep(0)


class Lookups:
    """Verifies tokens whose key has to be looked for, in threads of its own: makes have theirs."""

    def __init__(self, verifier: Verifier, *, timeout_seconds: float) -> None:
        self._verifier = verifier
        self._timeout_seconds = timeout_seconds
        self._threads = ThreadPoolExecutor(_LOOKUP_THREADS, thread_name_prefix="partner-key-lookup")

    def verify_at_once(self, token: str, at: datetime) -> VerifiedToken | None:
        """Verify with the keys that are known; None where one has to be looked for."""
        try:
            return self._verifier.verify_with_known_keys(token, at=at)
        except LookupNeeded:
            return None

    async def look_up(self, token: str, at: datetime) -> VerifiedToken:
        """Verify, and look for the key; raises a VerificationError."""
        loop = asyncio.get_running_loop()
        lookup = loop.run_in_executor(self._threads, lambda: self._verifier.verify(token, at=at))
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await lookup
        except TimeoutError as error:
            raise KeysUnavailable("the key of this token could not be had in time") from error

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
