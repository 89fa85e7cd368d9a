"""The job on arq: `arq tests.benchmarks.peers.arq_peer.WorkerSettings`, one process for each worker.

As its documentation has it: a coroutine, or (PEER_MODE `threads`) a function in a pool of threads, for which
it shows the wrapper. Without results, which nobody reads, with uvloop, without its two log lines per job, and
with a shorter `poll_delay` than its half second: the poll is what starts jobs.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import uvloop
from arq import Retry, func
from arq.connections import RedisSettings

from tests.benchmarks.peers.async_job import AsyncJob
from tests.benchmarks.peers.environment import QUEUE, TASK, PeerSettings
from tests.benchmarks.peers.job import Job, NotAcknowledged

POLL_SECONDS: Final = 0.02
MAX_TRIES: Final = 6

Context = dict[str, Any]


def worker_settings(settings: PeerSettings) -> dict[str, Any]:
    """Return arq's settings of a worker; connects nothing before it starts."""
    logging.getLogger("arq").setLevel(logging.WARNING)
    # arq takes the loop of the current policy.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    start, stop, settle = _threaded(settings) if settings.mode == "threads" else _asynchronous(settings)
    return {
        "functions": [func(settle, name=TASK, max_tries=MAX_TRIES)],
        "on_startup": start,
        "on_shutdown": stop,
        "redis_settings": RedisSettings.from_dsn(settings.redis_url),
        "queue_name": QUEUE,
        "max_jobs": settings.concurrency,
        "poll_delay": POLL_SECONDS,
        "keep_result": 0,
        "log_results": False,
    }


def _asynchronous(settings: PeerSettings) -> tuple[Any, Any, Any]:
    async def start(context: Context) -> None:
        context["job"] = await AsyncJob.open(settings)

    async def stop(context: Context) -> None:
        await context["job"].close()

    async def settle(context: Context, token: str, received_at_ms: int) -> None:
        try:
            await context["job"].run(token, received_at_ms)
        except NotAcknowledged as error:
            raise Retry(defer=2.0 ** context["job_try"]) from error

    return start, stop, settle


def _threaded(settings: PeerSettings) -> tuple[Any, Any, Any]:
    async def start(context: Context) -> None:
        context["job"] = await asyncio.to_thread(Job.open, settings)
        context["pool"] = ThreadPoolExecutor(settings.concurrency)

    async def stop(context: Context) -> None:
        context["pool"].shutdown()
        context["job"].close()

    async def settle(context: Context, token: str, received_at_ms: int) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(context["pool"], context["job"].run, token, received_at_ms)
        except NotAcknowledged as error:
            raise Retry(defer=2.0 ** context["job_try"]) from error

    return start, stop, settle


def __getattr__(name: str) -> dict[str, Any]:
    if name == "WorkerSettings":
        return worker_settings(PeerSettings.from_environment())
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
