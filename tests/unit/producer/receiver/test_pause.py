"""A pause of the intake: when it begins and ends, what is answered, and what counts without PostgreSQL."""

import asyncio
from collections.abc import Coroutine

import pytest
from structlog.testing import capture_logs

from producer.receiver.answers import IntakePaused, answer_to
from producer.receiver.pause import LOOK_SECONDS, IntakePause
from tests.support import virtual_time
from tests.support.intake import UNTIL, Intake


def in_virtual_time(scene: Coroutine[object, object, None]) -> None:
    virtual_time.run(scene)


def retry_after(pause: IntakePause) -> int | None:
    """Return what a make is told; None: it is taken."""
    try:
        pause.refuse()
    except IntakePaused as error:
        answer = answer_to(error)
        assert (answer.status, answer.error_code, answer.reason) == (503, 102823, "paused")
        return int(answer.headers["Retry-After"])
    return None


def test_a_pause_begins_and_ends_as_people_say_and_that_is_logged() -> None:
    async def scene() -> None:
        intake = Intake()
        pause = IntakePause(intake)
        with capture_logs() as logs:
            await pause.look()
            assert (retry_after(pause), pause.until_seconds, pause.sentence) == (None, 0.0, None)

            intake.paused(1200)
            await pause.look()
            await pause.look()
            assert (retry_after(pause), pause.until_seconds) == (30, UNTIL.timestamp())
            assert pause.sentence == "paused until 2026-11-26T12:20:00Z by anna@desk"

            intake.resumed()
            await pause.look()
            await pause.look()
            assert (retry_after(pause), pause.until_seconds) == (None, 0.0)
        assert [(line["event"], line.get("by"), line["why"]) for line in logs] == [
            ("intake_paused", "anna@desk", "new disks"),
            ("intake_resumed", "bob@desk", "they are in"),
        ]

    in_virtual_time(scene())


@pytest.mark.parametrize("is_away", [False, True])
def test_a_pause_ends_by_itself_at_its_time_also_while_postgresql_is_away(*, is_away: bool) -> None:
    async def scene() -> None:
        intake = Intake()
        pause = IntakePause(intake)
        intake.paused(10)
        await pause.look()
        if is_away:
            intake.away()
        with capture_logs() as logs:
            await asyncio.sleep(9)
            if is_away:
                await pause.look()
            assert retry_after(pause) == 1
            await asyncio.sleep(1)
            assert retry_after(pause) is None
        assert [line["why"] for line in logs if line["event"] == "intake_resumed"] == [
            "the time of the pause is over"
        ]

    in_virtual_time(scene())


def test_what_is_said_anew_counts_from_then_on() -> None:
    async def scene() -> None:
        intake = Intake()
        pause = IntakePause(intake)
        intake.paused(10)
        await pause.look()
        intake.paused(100)
        await pause.look()
        await asyncio.sleep(50)
        assert retry_after(pause) == 30

    in_virtual_time(scene())


def test_while_it_watches_it_hears_of_a_pause_whatever_failed_before() -> None:
    async def scene() -> None:
        intake = Intake()
        intake.away()
        pause = IntakePause(intake)
        watch = asyncio.create_task(pause.watch())
        with capture_logs() as logs:
            await asyncio.sleep(5 * LOOK_SECONDS)
            assert retry_after(pause) is None
            intake.paused(60)
            await asyncio.sleep(LOOK_SECONDS)
            assert retry_after(pause) == 30
        watch.cancel()
        # Once for all looks in a row.
        assert [line["event"] for line in logs] == ["intake_unknown", "intake_paused"]

    in_virtual_time(scene())
