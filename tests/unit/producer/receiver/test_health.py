"""What /readyz says of the copies: whether a server answers, and whether makes wait for it again."""

import asyncio
import json
from typing import Any

import httpx
from prometheus_client import CollectorRegistry
from starlette.requests import Request

from producer.receiver.health import FRESH_SECONDS, Health
from producer.receiver.metrics import ReceiverMetrics
from producer.receiver.pause import IntakePause
from producer.receiver.two_copies import TwoCopies
from producer.shared.settings.receiver import ReceiverSettings
from producer.shared.wiring import build_keys
from tests.support import virtual_time
from tests.support.copies import TIMEOUT_SECONDS, Store, event
from tests.support.intake import Intake

SETTINGS = ReceiverSettings(
    redis_url="redis://cache.test/0",
    database_url="postgresql://db.test/cashback",
    betcore_url="https://betcore.test",
    token_client_id="PartnerClient-1556",
)


class Scene:
    """Two stores, and what is said of them. Without keys, the Verify endpoint is asked."""

    def __init__(self) -> None:
        self.receipts, self.messages = Store(), Store()
        self.intake = Intake()
        self.pause = IntakePause(self.intake)
        self.copies = TwoCopies(
            receipts=self.receipts,
            messages=self.messages,
            metrics=ReceiverMetrics(CollectorRegistry()),
            timeout_seconds=TIMEOUT_SECONDS,
            cutoff_seconds=25,
            now_ms=lambda: 0,
        )
        self._health = self._new_health()

    def _new_health(self) -> Health:
        return Health(
            keys=build_keys(SETTINGS, client=httpx.Client(), retired_key_seconds=0),
            verify_fallback=True,
            receipts=self.receipts,
            publisher=self.messages,
            copies=self.copies,
            pause=self.pause,
        )

    async def ready(self) -> tuple[int, dict[str, Any]]:
        """Ask one that was not asked before; return the status and the parts."""
        self._health = self._new_health()
        return await self.ready_again()

    async def ready_again(self) -> tuple[int, dict[str, Any]]:
        """Ask the one that was asked last."""
        reply = await self._health.ready(Request({"type": "http"}))
        return reply.status_code, json.loads(bytes(reply.body))["parts"]


def test_a_server_that_answers_again_and_is_not_found_yet_is_away_and_ready() -> None:
    async def run() -> None:
        scene = Scene()
        assert (await scene.ready())[1]["postgresql"] == "ok"

        scene.receipts.is_there = False
        assert await scene.copies.make(event(1))
        assert (await scene.ready())[1]["postgresql"] == "copy_timed_out"

        # It is back, and the next look for it is still to come.
        scene.receipts.is_there = True
        scene.messages.is_there = False
        status, parts = await scene.ready()
        assert (status, parts["postgresql"], parts["redis"]) == (200, "away", "copy_timed_out")

        await scene.copies.close(timeout_seconds=TIMEOUT_SECONDS)
        assert (await scene.ready())[1]["postgresql"] == "ok"

    virtual_time.run(run())


def test_however_often_and_however_many_ask_the_servers_are_asked_once_a_second() -> None:
    async def run() -> None:
        scene = Scene()

        answers = await asyncio.gather(*(scene.ready_again() for _ in range(100)))
        again = await scene.ready_again()

        assert {status for status, _ in [*answers, again]} == {200}
        assert (scene.receipts.checks, scene.messages.checks) == (1, 1)

        await asyncio.sleep(FRESH_SECONDS)
        await scene.ready_again()
        assert (scene.receipts.checks, scene.messages.checks) == (2, 2)

    virtual_time.run(run())


def test_one_who_asks_and_goes_away_takes_the_answer_from_nobody() -> None:
    async def run() -> None:
        scene = Scene()
        scene.receipts.is_there = False
        first = asyncio.create_task(scene.ready_again())
        second = asyncio.create_task(scene.ready_again())
        await asyncio.sleep(0)

        first.cancel()

        assert (await second)[1]["postgresql"] == "copy_timed_out"

    virtual_time.run(run())
