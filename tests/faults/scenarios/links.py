"""Pairs of links cut in silence: connections stay open and carry nothing, as when a switch fails."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from tests.faults.proxy import HALF_OPEN, PASS, Proxy
from tests.faults.scene import Scene

_AROUND_SECONDS: Final = 1.0


def two_racks(scene: Scene) -> None:
    """Cut the receiver and Redis from PostgreSQL and the workers: an event has its message alone."""
    _cut(scene, "two racks lose sight of each other", (scene.rig.door_database, scene.rig.worker_redis))


def two_racks_crossed(scene: Scene) -> None:
    """Cut the receiver and PostgreSQL from Redis and the workers: an event has its receipt alone."""
    _cut(scene, "two racks lose sight of each other", (scene.rig.door_redis, scene.rig.worker_database))


def workers_alone(scene: Scene) -> None:
    """Cut the workers from both servers."""
    _cut(scene, "the workers are cut off", (scene.rig.worker_redis, scene.rig.worker_database))


def workers_without_redis(scene: Scene) -> None:
    """Cut the workers from Redis and from BETCORE: they go on from the receipts, and then catch up."""
    _cut(scene, "the workers reach PostgreSQL alone", (scene.rig.worker_redis, scene.rig.worker_betcore))


def redis_alone(scene: Scene) -> None:
    """Cut everybody from Redis."""
    _cut(scene, "Redis is cut off", (scene.rig.door_redis, scene.rig.worker_redis))


def postgres_alone(scene: Scene) -> None:
    """Cut everybody from PostgreSQL."""
    _cut(scene, "PostgreSQL is cut off", (scene.rig.door_database, scene.rig.worker_database))


def _cut(scene: Scene, name: str, proxies: Sequence[Proxy]) -> None:
    """Cut the links as often as the form has rounds."""
    seconds = scene.form.freeze_seconds
    with scene.load(seconds=scene.form.rounds * (seconds + _AROUND_SECONDS) + _AROUND_SECONDS):
        for _ in range(scene.form.rounds):
            scene.pause_randomly(0.5, _AROUND_SECONDS)
            with scene.fault(name), _silent(proxies):
                scene.pause(seconds)


@contextmanager
def _silent(proxies: Sequence[Proxy]) -> Iterator[None]:
    for proxy in proxies:
        proxy.behave(HALF_OPEN)
    try:
        yield
    finally:
        for proxy in proxies:
            proxy.cut()
            proxy.behave(PASS)
