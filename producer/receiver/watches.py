"""What runs in the background for as long as the receiver does, and without which it does not work."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final

import structlog

_CANCEL_AGAIN_SECONDS: Final = 1.0

_log: Final = structlog.get_logger(__name__)

OnFatal = Callable[[str], None]


def start_watches(
    watches: Mapping[str, Coroutine[Any, Any, None]], *, until: AsyncExitStack, on_fatal: OnFatal
) -> None:
    """Run these, by name, until the stack unwinds; `on_fatal` is told why where one ends by a fault."""
    for name, watch in watches.items():
        task = asyncio.create_task(watch, name=name)
        task.add_done_callback(partial(_ended, on_fatal))
        until.push_async_callback(end_task, task)


async def end_task(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait until it is gone: a connection that it is just opening is closed by then.

    Once is not enough: a library may take a cancellation for the end of its own waiting, and then the task
    goes on, and the process would never end.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_CANCEL_AGAIN_SECONDS)


def _ended(on_fatal: OnFatal, task: asyncio.Task[None]) -> None:
    """Take note of a watch that ended by itself, and so by a fault that nobody foresaw."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        _log.error("watch_died", watch=task.get_name(), exc_info=error)
        on_fatal(
            f"its watch {task.get_name()} has died ({type(error).__name__}), without which it does not work"
        )
