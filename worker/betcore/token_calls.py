"""Calls of the Token endpoint: one that gets no answer does not keep the next one from being made."""

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Final

from worker.betcore.token_endpoint import AccessToken, TokenEndpoint
from worker.errors import BearerUnavailable

# More than are made while one waits for its answer for as long as it may.
MOST_CALLS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded:
    """What came of a call, which took `seconds`."""

    came_to: AccessToken | BearerUnavailable
    seconds: float


class TokenCalls:
    """The calls that are under way, each in a thread. For use by one thread at a time."""

    def __init__(self, endpoint: TokenEndpoint, *, monotonic: Callable[[], float]) -> None:
        self._endpoint = endpoint
        self._monotonic = monotonic
        self._threads = ThreadPoolExecutor(MOST_CALLS, thread_name_prefix="token-call")
        self._calls: set[Future[CallEnded]] = set()

    @property
    def are_under_way(self) -> bool:
        """Whether a call is under way, or has ended and was not asked for."""
        return bool(self._calls)

    def begin(self) -> None:
        """Make one more call; beyond MOST_CALLS none is made."""
        if len(self._calls) < MOST_CALLS:
            self._calls.add(self._threads.submit(self._call))

    def ended(self, *, within_seconds: float) -> CallEnded | None:
        """Return what came of a call, once; None where none is under way or has ended after so long."""
        done, _ = wait(self._calls, timeout=within_seconds, return_when=FIRST_COMPLETED)
        for call in done:
            self._calls.discard(call)
            return call.result()
        return None

    def close(self) -> None:
        """Begin no call any more; those that are under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _call(self) -> CallEnded:
        begun = self._monotonic()
        try:
            came_to: AccessToken | BearerUnavailable = self._endpoint.fetch()
        except BearerUnavailable as error:
            came_to = error
        return CallEnded(came_to=came_to, seconds=self._monotonic() - begun)
