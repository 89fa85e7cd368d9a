"""A time limit that costs nothing for what does not wait.

Decision 11.
"""

import asyncio
from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

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
        return await _rest_of(work, awaited)


@coroutine
def _rest_of(work: Coroutine[Any, Any, Result], awaited: object) -> Generator[Any, Any, Result]:
    """Take the other steps of `work`, which waits for `awaited`, as `yield from` takes all of them."""
    while True:
        try:
            try:
                value = yield awaited
            except BaseException as error:  # noqa: BLE001 - it is the work's to deal with, a cancellation above all
                awaited = work.throw(error)
            else:
                awaited = work.send(value)
        except StopIteration as end:
            result: Result = end.value
            return result
