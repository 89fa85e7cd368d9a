"""Whoever goes on sending what is not verified waits for the answers, and nobody else does."""

import asyncio

import pytest
from starlette.types import Message, Receive, Scope
from structlog.testing import capture_logs

from producer.receiver.http import failures
from producer.receiver.http.clients import Client
from producer.receiver.http.connections import DELAYED
from producer.receiver.http.failures import BURST_SECONDS, DELAY_SECONDS, FailedVerifications
from tests.support import virtual_time

FLOODER = Client("203.0.113.7", "203.0.113.7", is_allowed=True)
OTHER = Client("2001:db8::1", "2001:db8::/64", is_allowed=True)


async def stays() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def leaves() -> Message:
    return {"type": "http.disconnect"}


class Door:
    """Failed verifications at one a second, and how many answers were delayed."""

    def __init__(self) -> None:
        self.delayed = 0
        self.loop = asyncio.get_running_loop()
        self.failures = FailedVerifications(per_second=1, on_delay=self._count, monotonic=self.loop.time)

    def _count(self) -> None:
        self.delayed += 1

    async def seconds(
        self, client: Client = FLOODER, *, receive: Receive = stays, scope: Scope | None = None
    ) -> float:
        """Return for how long one of this client's answers is delayed."""
        before = self.loop.time()
        await self.failures.failed(client, {} if scope is None else scope, receive)
        return self.loop.time() - before


def test_only_what_is_too_much_of_one_source_waits() -> None:
    async def flood() -> tuple[list[float], list[float], int]:
        door = Door()
        of_flooder = await asyncio.gather(*(door.seconds() for _ in range(BURST_SECONDS + 3)))
        return of_flooder, [await door.seconds(OTHER) for _ in range(BURST_SECONDS)], door.delayed

    of_flooder, of_other, delayed = virtual_time.run(flood())

    assert of_flooder == [0.0] * BURST_SECONDS + [DELAY_SECONDS] * 3
    assert of_other == [0.0] * BURST_SECONDS
    assert delayed == 3


def test_a_request_whose_answer_is_delayed_says_so() -> None:
    async def flood() -> list[Scope]:
        door, scopes = Door(), [dict[str, object]() for _ in range(BURST_SECONDS + 1)]
        for scope in scopes:
            await door.seconds(scope=scope)
        return list(scopes)

    assert [DELAYED in scope for scope in virtual_time.run(flood())] == [False] * BURST_SECONDS + [True]


def test_nothing_waits_for_a_client_that_has_gone() -> None:
    async def flood() -> float:
        door = Door()
        return sum([await door.seconds(receive=leaves) for _ in range(100)])

    assert virtual_time.run(flood()) == 0.0


def test_only_so_many_answers_are_delayed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "MAX_DELAYED", 2)

    async def flood() -> list[float]:
        door = Door()
        return await asyncio.gather(*(door.seconds() for _ in range(BURST_SECONDS + 4)))

    waited = virtual_time.run(flood())

    assert waited == [0.0] * BURST_SECONDS + [DELAY_SECONDS] * 2 + [0.0] * 2


def test_a_flood_is_told_in_few_lines_that_name_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producer.shared.log_tally.EVERY_SECONDS", 3_600)

    async def flood() -> None:
        door = Door()
        await asyncio.gather(*(door.seconds() for _ in range(100)))

    with capture_logs() as logs:
        virtual_time.run(flood())

    assert [(line["event"], line["client"]) for line in logs] == [("answers_delayed", "203.0.113.7")]
