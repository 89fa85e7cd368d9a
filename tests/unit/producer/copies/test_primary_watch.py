"""The watch over the primary outlives whatever its looks come to."""

import asyncio

import pytest
from structlog.testing import capture_logs

from producer.copies import primary
from producer.copies.primary import PrimaryWatch
from producer.copies.redis_client import redis_client
from producer.shared.settings.receiver import ReceiverSettings


class Enough(BaseException):
    """The test has seen enough: what ends a task, as a cancellation does."""


class Failing(PrimaryWatch):
    """Fails with each look but the third one."""

    looks = 0

    async def look(self) -> None:
        self.looks += 1
        if self.looks > 5:
            raise Enough
        if self.looks != 3:
            raise RuntimeError("unforeseen")


def test_looks_that_fail_are_said_once_and_end_no_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(primary, "LOOK_SECONDS", 0)
    settings = ReceiverSettings(
        redis_url="sentinel://cache.test:26379",
        database_url="postgresql://db.test/cashback",
        betcore_url="https://betcore.test",
        token_client_id="PartnerClient-1556",
    )
    watch = Failing(redis_client(settings, timeout_seconds=2), timeout_seconds=2)

    with capture_logs() as logs, pytest.raises(Enough):
        asyncio.run(watch.watch())

    assert [line["event"] for line in logs] == ["primary_not_looked_at", "primary_not_looked_at"]
