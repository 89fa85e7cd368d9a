"""Silent cuts between sets of hosts, and lines that lose packets."""

from typing import Final

from tests.faults.hosts.rig import WORKERS
from tests.faults.hosts.scene import HostScene
from tests.faults.scene import SHORT

VALKEYS: Final = ("valkey1", "valkey2", "sentinel1", "sentinel2", "sentinel3")
POSTGRES: Final = ("postgres1", "postgres2")
_AROUND_SECONDS: Final = 1.5


def two_racks(scene: HostScene) -> None:
    """Cut the receiver and Redis from PostgreSQL and the workers: an event has its message alone."""
    seconds = scene.form.freeze_seconds
    _cut(scene, ("receiver", *VALKEYS), (*WORKERS, *POSTGRES), seconds=seconds)


def workers_without_redis(scene: HostScene) -> None:
    """Cut the workers from Redis for long: they go on from the receipts."""
    _cut(
        scene,
        WORKERS,
        VALKEYS,
        seconds=_seconds(scene, short=scene.form.gone_seconds, long=25.0),
    )


def workers_without_postgres(scene: HostScene) -> None:
    """Cut the workers from PostgreSQL: they settle what came meanwhile as soon as they can."""
    _cut(scene, WORKERS, POSTGRES, seconds=_seconds(scene, short=scene.form.freeze_seconds, long=10.0))


def packets_lost(scene: HostScene) -> None:
    """Lose every fiftieth packet everywhere."""
    seconds = 2 * scene.form.freeze_seconds
    with scene.load(seconds=seconds + _AROUND_SECONDS):
        scene.pause_randomly(0.2, 0.5)
        with scene.fault("packets are lost"), scene.rig.network.lossy(percent=2):
            scene.pause(seconds)


def _seconds(scene: HostScene, *, short: float, long: float) -> float:
    return short if scene.form is SHORT else long


def _cut(scene: HostScene, here: tuple[str, ...], there: tuple[str, ...], *, seconds: float) -> None:
    with scene.load(seconds=seconds + 2 * _AROUND_SECONDS):
        scene.pause_randomly(0.5, _AROUND_SECONDS)
        with scene.fault(f"{', '.join(here)} cut from {', '.join(there)}"), scene.rig.cut(here, there):
            scene.pause(seconds)
