"""The job that the peers do, without their engines: what a change of ours must not break unseen."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.benchmarks.betcore import BetcoreClient
from tests.benchmarks.peers.async_job import AsyncJob
from tests.benchmarks.peers.environment import PeerSettings
from tests.benchmarks.peers.job import Job
from tests.benchmarks.tokens import EVERYBODY, TokenStore
from tests.support.bench_processes import betcore
from tests.support.books import add_user

CASHBACK_ID = 7


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    return TokenStore(tmp_path)


@pytest.fixture
def settings(tmp_path: Path, store: TokenStore, database_url: str) -> Iterator[PeerSettings]:
    with psycopg.connect(database_url) as connection:
        add_user(connection, EVERYBODY.user_of(CASHBACK_ID))
    with betcore(tmp_path, store) as betcore_url:
        yield PeerSettings(
            redis_url="redis://unused.test/0",
            database_url=database_url,
            betcore_url=betcore_url,
            bearer="bearer",
            concurrency=2,
            mode="threads",
        )


def work_off(settings: PeerSettings, token: str) -> None:
    job = Job.open(settings)
    try:
        job.run(token, int(time.time() * 1_000))
    finally:
        job.close()


def work_off_with_coroutines(settings: PeerSettings, token: str) -> None:
    async def work() -> None:
        job = await AsyncJob.open(settings)
        try:
            await job.run(token, int(time.time() * 1_000))
        finally:
            await job.close()

    asyncio.run(work())


@pytest.mark.parametrize("work", [work_off, work_off_with_coroutines])
def test_a_peers_job_brings_an_event_to_its_end(
    work: Callable[[PeerSettings, str], None], settings: PeerSettings, store: TokenStore, database_url: str
) -> None:
    [token] = store.tokens(1, first_cashback_id=CASHBACK_ID)

    work(settings, token)

    bench = BetcoreClient(settings.betcore_url)
    assert bench.state().successes == 1
    bench.close()
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT state, code FROM receipts").fetchall() == [("answered", 200)]
