"""What runs within a time limit runs as it would without one, whether it waits or not."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import uvloop

from producer.receiver.http.in_time import in_time

LONG_SECONDS = 60.0
SHORT_SECONDS = 0.01

Runner = Callable[[Awaitable[None]], None]


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Runner:
    """Give what runs a test's coroutine to its end."""
    runner: Runner = request.param
    return runner


def test_what_does_not_wait_needs_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_timer(_seconds: float) -> None:
        raise AssertionError("a timer was set")

    async def at_once() -> str:
        return "done"

    monkeypatch.setattr(asyncio, "timeout", no_timer)
    assert asyncio.run(in_time(at_once(), timeout_seconds=LONG_SECONDS)) == "done"


def test_what_waits_several_times_goes_on_with_what_it_waited_for(run: Runner) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        good, bad = loop.create_future(), loop.create_future()

        async def work() -> list[object]:
            seen: list[object] = [await good]
            await asyncio.sleep(0)
            try:
                await bad
            except ZeroDivisionError as error:
                seen.append(type(error))
            await asyncio.sleep(SHORT_SECONDS)
            return seen

        loop.call_soon(good.set_result, "first")
        loop.call_soon(bad.set_exception, ZeroDivisionError())
        assert await in_time(work(), timeout_seconds=LONG_SECONDS) == ["first", ZeroDivisionError]

    run(main())


@pytest.mark.parametrize("waits", [0, 1, 2])
def test_its_errors_are_raised_as_they_are(run: Runner, waits: int) -> None:
    async def work() -> None:
        for _ in range(waits):
            await asyncio.sleep(0)
        raise ZeroDivisionError

    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            await in_time(work(), timeout_seconds=LONG_SECONDS)

    run(main())


@pytest.mark.parametrize("waits", [0, 3])
def test_what_takes_too_long_is_ended_and_may_clean_up(run: Runner, waits: int) -> None:
    told: list[str] = []

    async def work() -> None:
        for _ in range(waits):
            await asyncio.sleep(0)
        try:
            await asyncio.sleep(LONG_SECONDS)
        finally:
            await asyncio.sleep(0)
            told.append("cleaned up")

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await in_time(work(), timeout_seconds=SHORT_SECONDS)
        # The task itself is as free to wait as before.
        await asyncio.sleep(0)

    run(main())
    assert told == ["cleaned up"]


def test_a_cancellation_from_outside_is_no_timeout(run: Runner) -> None:
    told: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(LONG_SECONDS)
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    async def main() -> None:
        task = asyncio.create_task(in_time(work(), timeout_seconds=LONG_SECONDS))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
    assert told == ["cancelled"]
