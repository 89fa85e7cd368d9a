"""The baseline: what plain Celery on Redis with late acknowledgement loses under the same kills.

A task marks its own number in a set and does nothing else. It is lost when its number is in no mark, in no
queue and in no list of unacknowledged messages: then nothing can ever bring it back.
"""

import base64
import json
import os
import random
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any, Final

import redis
from celery import Celery

from deploy.local.environment import ROOT
from deploy.local.processes import ManagedProcess, wait_until
from deploy.local.stack.readiness import worker_answers
from deploy.local.valkey import ValkeyServer

URL_VARIABLE: Final = "FAULTS_PLAIN_CELERY_URL"
QUEUE: Final = "plain"
MARKS: Final = "plain.marks"
POOLS: Final = ("threads", "prefork")
WORKERS: Final = 2
CONCURRENCY: Final = 8
_READY_SECONDS: Final = 120.0
_DRAIN_SECONDS: Final = 120.0
_UNACKED: Final = "unacked"


def create_app(url: str) -> Celery:
    """Build the app as its documentation suggests for tasks that must not be lost: late acknowledgement."""
    app = Celery("plain", broker=url, set_as_current=False)
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_default_queue=QUEUE,
        task_ignore_result=True,
        worker_prefetch_multiplier=1,
    )

    @app.task(name="plain.mark", shared=False)  # type: ignore[untyped-decorator]  # Celery has no types
    def mark(number: int) -> None:
        _marks_client(url).sadd(MARKS, number)

    return app


@cache
def _marks_client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url)


def measure_plain_celery(directory: Path, *, seed: int, tasks: int, kills: int) -> dict[str, Any]:
    """Run the baseline with each pool; returns by pool: `tasks`, `kills`, `lost`, `waiting`, `seconds`."""
    results = {}
    for pool in POOLS:
        rng = random.Random(f"{seed}/plain-celery/{pool}")  # noqa: S311 -- a replay, no secret
        server = ValkeyServer(directory / pool / "valkey")
        try:
            server.start()
            results[pool] = _measure(server, directory / pool, pool=pool, rng=rng, tasks=tasks, kills=kills)
        finally:
            server.stop()
    return results


def _measure(  # noqa: PLR0913 -- what differs between the two, keyword-only
    server: ValkeyServer, directory: Path, *, pool: str, rng: random.Random, tasks: int, kills: int
) -> dict[str, Any]:
    begun = time.monotonic()
    workers = [_worker(server.url, directory, pool=pool, number=number) for number in range(WORKERS)]
    app = create_app(server.url)
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        try:
            for worker in workers:
                worker.start()
            for kill in range(kills):
                for worker in workers:
                    _wait_ready(worker, server.url)
                numbers = range(kill * tasks // kills, (kill + 1) * tasks // kills)
                # While more come in: a worker with nothing to do has nothing to lose.
                moment = rng.choice(numbers)
                for number in numbers:
                    app.send_task("plain.mark", args=(number,))
                    if number == moment:
                        victim = rng.choice(workers)
                        victim.kill()
                        victim.start()
            wait_until(
                lambda: client.llen(QUEUE) == 0, what="the queue is empty", timeout_seconds=_DRAIN_SECONDS
            )
        finally:
            for worker in workers:
                worker.stop()
            app.close()
        marked = {int(number) for number in client.smembers(MARKS)}
        waiting = _numbers_waiting(client)
    lost = set(range(tasks)) - marked - waiting
    return {
        "tasks": tasks,
        "kills": kills,
        "lost": len(lost),
        "waiting": len(waiting - marked),
        "seconds": round(time.monotonic() - begun, 1),
    }


def _worker(url: str, directory: Path, *, pool: str, number: int) -> ManagedProcess:
    options = (
        f"--pool={pool} --concurrency={CONCURRENCY} --without-gossip --without-mingle --loglevel WARNING"
    )
    command = f"{sys.executable} -m celery --app tests.faults.plain_celery worker {options}"
    return ManagedProcess(
        name=f"plain.{pool}.{number}",
        # The process id is part of the name, by which a ping finds it.
        argv=["/bin/sh", "-c", f"exec {command} --hostname worker-$$@%h"],
        log_path=directory / f"worker.{number}.log",
        env={**os.environ, URL_VARIABLE: url},
        cwd=ROOT,
    )


def _wait_ready(worker: ManagedProcess, url: str) -> None:
    wait_until(
        lambda: worker_answers(url, worker.pid),
        what=f"{worker.name} answers a ping",
        timeout_seconds=_READY_SECONDS,
        process=worker,
    )


def _numbers_waiting(client: redis.Redis) -> set[int]:
    """Return the numbers of the tasks that Redis still has, in the queue or as unacknowledged."""
    queued: Any = client.lrange(QUEUE, 0, -1)
    unacked: Any = client.hvals(_UNACKED)
    messages = [json.loads(raw) for raw in queued] + [json.loads(raw)[0] for raw in unacked]
    return {int(json.loads(base64.b64decode(message["body"]))[0][0]) for message in messages}


def __getattr__(name: str) -> Celery:
    if name in {"app", "celery"}:
        return create_app(os.environ[URL_VARIABLE])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
