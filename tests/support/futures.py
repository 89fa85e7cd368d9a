"""How a copy ended, as a future: for tests that wait for it."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from producer.copies.group_commit import OnEnd

Item = TypeVar("Item")


def end_of(start: Callable[[Item, OnEnd], None], item: Item) -> asyncio.Future[None]:
    """Start a copy, or any call in a group; the future ends as it does, and may be cancelled."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_end(error: Exception | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

    start(item, on_end)
    return future
