"""A time limit that costs nothing for what does not wait."""

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


async def in_time(work: Coroutine[Any, Any, Result], *, timeout_seconds: float) -> Result:
    """Return what `work` returns; raise TimeoutError where it takes longer, and whatever it raises.

    What ends without waiting is not timed: for a small piece of work asyncio's timer costs more than it does.
    """
    try:
        awaited = work.send(None)
    except StopIteration as end:
        result: Result = end.value
        return result
    async with asyncio.timeout(timeout_seconds):
        return await _Rest(work, awaited)


class _Rest(Generic[Result]):
    """What is left of a coroutine that has taken its first step and waits for `awaited`."""

    __slots__ = ("_awaited", "_work")

    def __init__(self, work: Coroutine[Any, Any, Result], awaited: object) -> None:
        self._work = work
        self._awaited = awaited

    def __await__(self) -> Generator[Any, Any, Result]:
        """Take the other steps, as `yield from` would have taken them all."""
        awaited = self._awaited
        while True:
            try:
                try:
                    value = yield awaited
                except BaseException as error:  # noqa: BLE001 - it is the work's to deal with, a cancellation above all
                    awaited = self._work.throw(error)
                else:
                    awaited = self._work.send(value)
            except StopIteration as end:
                result: Result = end.value
                return result
