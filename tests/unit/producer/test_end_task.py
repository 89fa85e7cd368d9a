"""A background task of the receiver is ended, also where a library swallows its cancellation once."""

import asyncio

from producer.receiver.watches import end_task
from tests.support import virtual_time


def test_a_task_whose_cancellation_is_swallowed_is_cancelled_again() -> None:
    swallowed: list[BaseException] = []

    async def stubborn() -> None:
        while True:
            try:
                await asyncio.sleep(0.5)
            except asyncio.CancelledError as error:
                if swallowed:
                    raise
                swallowed.append(error)

    async def main() -> bool:
        task = asyncio.create_task(stubborn())
        await asyncio.sleep(0)
        async with asyncio.timeout(60):
            await end_task(task)
        return task.cancelled()

    assert virtual_time.run(main())
    assert swallowed
