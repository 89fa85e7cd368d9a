"""Workers and the receiver: killed, asked to stop, and started where they cannot work."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import redis

from deploy.local.environment import DATABASE_URL, REDIS_URL
from deploy.local.errors import NotReadyInTime
from deploy.local.ports import LOCALHOST
from deploy.local.processes import ManagedProcess
from tests.faults.proxy import HOLD_REQUESTS, PASS, Direction, Proxy
from tests.faults.rig import STOP_SECONDS
from tests.faults.scene import Scene

_AROUND_SECONDS: Final = 1.0
# BETCORE takes its time, so that a worker has several events in hand whenever it is hit.
_IN_HAND: Final = "slow:0.1"
# The end of a hang, far above what a start takes on a slow machine.
_END_SECONDS: Final = 60.0
_CLIENT_SECONDS: Final = 30.0


def kill_workers(scene: Scene) -> None:
    """SIGKILL to one worker after another at random moments, while there is load."""
    form, workers = scene.form, scene.rig.workers
    scene.rig.simulate(accept=_IN_HAND)
    seconds = form.kill_makes / form.kill_rate_per_second
    with scene.load(seconds=seconds, rate_per_second=form.kill_rate_per_second) as load:
        while load.is_sending and len(scene.faults) < form.kills_at_most:
            # A worker that is only just starting has nothing to lose.
            for worker in workers:
                scene.rig.wait_for_worker(worker)
            scene.pause_randomly(*form.kill_pauses_seconds)
            victim = scene.rng.choice(workers)
            scene.kill(victim, name=f"SIGKILL to {victim.name}")
    scene.rig.simulate(accept="ok")


def term_workers(scene: Scene) -> None:
    """SIGTERM to one worker after another under load, each started again: a rolling restart."""
    scene.least_in_time_share = 1.0
    scene.rig.simulate(accept=_IN_HAND)
    with scene.load(seconds=scene.form.rounds * 2 * len(scene.rig.workers) + 2 * _AROUND_SECONDS):
        scene.pause(_AROUND_SECONDS)
        for worker in scene.rig.workers * scene.form.rounds:
            with scene.fault(f"SIGTERM to {worker.name}"):
                status = worker.stop(timeout_seconds=STOP_SECONDS)
            scene.expect(status == 0, f"{worker.name} ended with status {status} on SIGTERM")
            worker.start()
            scene.rig.wait_for_worker(worker)
    scene.rig.simulate(accept="ok")


def worker_start_fails(scene: Scene) -> None:
    """Start workers that cannot work, each for another reason: they end and say why, and take no event."""
    scene.least_in_time_share = 1.0
    seconds = scene.form.rounds * 2 * scene.form.outage_seconds + 2 * _AROUND_SECONDS
    with _refused_user(scene) as user, scene.load(seconds=seconds):
        for number in range(scene.form.rounds):
            scene.pause_randomly(0.3, _AROUND_SECONDS)
            broken = {
                "the receiver has its metrics port": {
                    "CASHBACK_METRICS_PORT": _port_of(scene.rig.stack.receiver_url)
                },
                "Redis does not let it pop": {
                    REDIS_URL: _through(scene.rig.worker_redis, "redis", user, "0")
                },
                "its database has no schema": {
                    DATABASE_URL: _through(scene.rig.worker_database, "postgresql", "postgres", "postgres")
                },
            }
            workers = {
                reason: scene.rig.new_worker(name=f"broken.{number}.{place}", settings=settings)
                for place, (reason, settings) in enumerate(broken.items())
            }
            with scene.fault("workers that cannot start"):
                for worker in workers.values():
                    worker.start()
                for reason, worker in workers.items():
                    _expect_end(scene, worker, reason)
    scene.wait_for_ends()
    scene.expect_all_answered()


def _expect_end(scene: Scene, worker: ManagedProcess, reason: str) -> None:
    try:
        status = worker.wait(timeout_seconds=_END_SECONDS)
    except NotReadyInTime:
        scene.expect(False, f"a worker stays though {reason}")
        worker.kill()
        return
    last_line = worker.log_tail(lines=1)
    scene.expect(status == 1, f"a worker ended with status {status} where {reason}")
    scene.expect(last_line.startswith("cashback worker: "), f"where {reason} its last line is {last_line!r}")


@contextmanager
def _refused_user(scene: Scene) -> Iterator[str]:
    """Give the login of a user that may do all but wait at a queue."""
    with redis.Redis.from_url(scene.rig.valkey.url, socket_timeout=_CLIENT_SECONDS) as client:
        rules = ("on", ">secret", "~*", "&*", "+@all", "-@blocking")
        client.execute_command("ACL", "SETUSER", "unblocking", *rules)
        try:
            yield "unblocking:secret"
        finally:
            client.execute_command("ACL", "DELUSER", "unblocking")


def _through(proxy: Proxy, scheme: str, login: str, database: str) -> str:
    return f"{scheme}://{login}@{LOCALHOST}:{proxy.port}/{database}"


def _port_of(url: str) -> str:
    return url.rpartition(":")[2]


def kill_receiver(scene: Scene) -> None:
    """SIGKILL to the receiver at random moments: BETCORE submits again what got no reply."""
    with scene.load(seconds=scene.form.rounds * 3 + _AROUND_SECONDS):
        for _ in range(scene.form.rounds):
            scene.pause_randomly(0.3, _AROUND_SECONDS)
            scene.kill(scene.rig.receiver, name="SIGKILL to the receiver")
            scene.rig.wait_for_receiver()
            _kill_receiver_before_its_copies(scene)
            scene.rig.wait_for_receiver()


def _kill_receiver_before_its_copies(scene: Scene) -> None:
    # Neither copy gets through, so that whatever was answered with 200 now would have none.
    proxies = (scene.rig.door_redis, scene.rig.door_database)
    for proxy in proxies:
        proxy.behave(HOLD_REQUESTS)
    for proxy in proxies:
        scene.wait_for(lambda held=proxy.held: held(Direction.REQUESTS) > 0, what="a copy is under way")  # type: ignore[misc]  # a default argument binds it
    scene.pause_randomly(0.1, 0.3)
    scene.kill(scene.rig.receiver, name="SIGKILL to the receiver while it makes copies")
    for proxy in proxies:
        proxy.cut()
        proxy.behave(PASS)
