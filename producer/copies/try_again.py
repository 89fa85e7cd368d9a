"""Something that is tried again in the background until it is done."""

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Final

import structlog

# A server that was away for a blink is found again at once, and one that stays away is not pestered.
_FIRST_PAUSE_SECONDS: Final = 0.1
_LEAST_SHARE: Final = 0.5
# The longest pause has long been reached by then, and the power would grow for ever.
_MOST_DOUBLINGS: Final = 16

_log: Final = structlog.get_logger(__name__)


class Step(Enum):
    """What one attempt came to."""

    GOOD = auto()
    FAILED = auto()
    NOTHING_LEFT = auto()


class TryAgain:
    """Repeats `attempt` from `start` until it says that nothing is left; then there is no task any more.

    A pause comes before the first attempt and after each that failed. It doubles up to
    `longest_pause_seconds` and is jittered between half of itself and the whole. A good attempt is followed
    by the next at once, and the pauses begin anew. `random` gives numbers from 0 to 1.
    """

    def __init__(
        self,
        attempt: Callable[[], Awaitable[Step]],
        *,
        name: str,
        longest_pause_seconds: float,
        random: Callable[[], float],
    ) -> None:
        self._attempt = attempt
        self._name = name
        self._longest_pause_seconds = longest_pause_seconds
        self._random = random
        self._task: asyncio.Task[None] | None = None
        self._is_stopped = False

    def start(self) -> None:
        """Begin, if it is not under way, and was not stopped."""
        if self._is_stopped:
            return
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """End it, wherever it is, for good."""
        self._is_stopped = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        failures = 0
        step = Step.FAILED
        # Nothing is awaited between the last attempt's word and the task's end, so `start` misses nothing.
        while step is not Step.NOTHING_LEFT:
            if step is Step.FAILED:
                await asyncio.sleep(self._pause_seconds(failures))
                failures += 1
            else:
                failures = 0
            try:
                step = await self._attempt()
            except Exception:  # noqa: BLE001 - logged with its traceback
                # Whatever it was, what is left to do is still there.
                _log.exception("attempt_failed", what=self._name)
                step = Step.FAILED

    def _pause_seconds(self, failures: int) -> float:
        pause = min(_FIRST_PAUSE_SECONDS * 2.0 ** min(failures, _MOST_DOUBLINGS), self._longest_pause_seconds)
        return pause * (_LEAST_SHARE + (1 - _LEAST_SHARE) * self._random())
