"""Redis: killed, emptied, frozen, flushed, gone for long, half-open, and out of disk space."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

import redis

from cashback_client.contract import QUEUE
from deploy.local.processes import ManagedProcess
from tests.faults.proxy import HALF_OPEN, PASS
from tests.faults.scene import Scene

_AROUND_SECONDS: Final = 1.0
_FULL_DEVICE: Final = "/dev/full"
_CLIENT_SECONDS: Final = 5.0
_STILL_SECONDS: Final = 0.25


def redis_kill(scene: Scene) -> None:
    """SIGKILL to Redis, which comes back with what its append-only file has."""
    valkey = scene.rig.valkey
    _outages(scene, "Redis is killed", valkey.kill, valkey.start, seconds=scene.form.outage_seconds)


def redis_empty(scene: Scene) -> None:
    """SIGKILL to Redis, which comes back with empty data."""

    def start_empty() -> None:
        shutil.rmtree(scene.rig.valkey_directory / "appendonlydir")
        scene.rig.valkey.start()

    name = "Redis is killed and emptied"
    _outages(scene, name, scene.rig.valkey.kill, start_empty, seconds=scene.form.outage_seconds)


def redis_freeze(scene: Scene) -> None:
    """SIGSTOP to Redis: connections stay open, and nothing answers."""
    valkey = scene.rig.valkey
    _outages(scene, "Redis is frozen", valkey.freeze, valkey.thaw, seconds=scene.form.freeze_seconds)


def redis_half_open(scene: Scene) -> None:
    """Let connections to Redis be accepted and carry nothing any more."""
    proxies = (scene.rig.door_redis, scene.rig.worker_redis)

    def break_all() -> None:
        for proxy in proxies:
            proxy.behave(HALF_OPEN)

    def restore() -> None:
        for proxy in proxies:
            proxy.cut()
            proxy.behave(PASS)

    _outages(scene, "Redis is half-open", break_all, restore, seconds=scene.form.freeze_seconds)


def redis_flushall(scene: Scene) -> None:
    """FLUSHALL under load: queues, unacknowledged messages and cached tokens are gone."""
    # Unacknowledged messages are in the workers' hands while BETCORE takes its time.
    scene.rig.simulate(accept="slow:1")
    flushed = 0
    with (
        scene.load(seconds=scene.form.rounds * 2 + _AROUND_SECONDS) as load,
        redis.Redis.from_url(scene.rig.valkey.url, socket_timeout=_CLIENT_SECONDS) as client,
    ):
        while load.is_sending:
            scene.pause_randomly(0.5, _AROUND_SECONDS)
            # Work must lie in the queue, or there is nothing to lose; workers that go on leave none there.
            with _standing_still(scene.rig.workers):
                scene.pause(_STILL_SECONDS)
                with scene.fault("FLUSHALL"):
                    flushed += int(str(client.llen(QUEUE)))
                    client.flushall()
    scene.rig.simulate(accept="ok")
    scene.figures["flushed"] = flushed
    scene.expect(flushed > 0, "no message lay in the queue when it was flushed")


@contextmanager
def _standing_still(processes: Sequence[ManagedProcess]) -> Iterator[None]:
    """Freeze processes for as long as the block takes."""
    with ExitStack() as thaws:
        for process in processes:
            process.freeze()
            thaws.callback(process.thaw)
        yield


def redis_gone(scene: Scene) -> None:
    """Redis gone for long under load: events go on being answered in time throughout."""
    scene.least_in_time_share = 1.0
    valkey = scene.rig.valkey
    with scene.load(seconds=scene.form.gone_seconds + 2 * _AROUND_SECONDS, rate_per_second=30):
        scene.pause(_AROUND_SECONDS)
        with scene.fault("Redis is gone"):
            valkey.kill()
            scene.pause(scene.form.gone_seconds)
        valkey.start()


def redis_disk_full(scene: Scene) -> None:
    """Fill the disk of Redis: it refuses every write, also the pop of a message, and goes on reading.

    Its append-only file is laid upon a device that is always full, because a small file system cannot be
    mounted without privileges and `maxmemory` would be another fault than this one.
    """
    rig = scene.rig
    next_file = rig.valkey_directory / "appendonlydir" / "temp-appendonly.aof.incr"
    with (
        scene.load(seconds=scene.form.rounds * (scene.form.outage_seconds + 1) + 2 * _AROUND_SECONDS),
        redis.Redis.from_url(rig.valkey.url, socket_timeout=_CLIENT_SECONDS) as client,
    ):
        for _ in range(scene.form.rounds):
            scene.pause(_AROUND_SECONDS)
            client.config_set("appendonly", "no")
            next_file.unlink(missing_ok=True)
            next_file.symlink_to(_FULL_DEVICE)
            with scene.fault("the disk of Redis is full"):
                client.config_set("appendonly", "yes")
                scene.wait_for(lambda: _refuses_writes(client), what="Redis refuses writes")
                scene.pause(scene.form.outage_seconds)
                client.config_set("appendonly", "no")
            client.config_set("appendonly", "yes")


def _outages(
    scene: Scene,
    name: str,
    begin: Callable[[], object],
    end: Callable[[], object],
    *,
    seconds: float,
) -> None:
    """Have as many outages of so many seconds as the form has rounds."""
    with scene.load(seconds=scene.form.rounds * (seconds + _AROUND_SECONDS) + _AROUND_SECONDS):
        for _ in range(scene.form.rounds):
            scene.pause_randomly(0.5, _AROUND_SECONDS)
            with scene.fault(name):
                begin()
                scene.pause(seconds)
                end()


def _refuses_writes(client: redis.Redis) -> bool:
    try:
        client.set("faults.probe", "1", ex=1)
    except redis.ResponseError as error:
        return str(error).startswith("MISCONF")
    return False
