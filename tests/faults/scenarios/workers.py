"""Workers and the receiver: killed, and asked to stop."""

from typing import Final

from tests.faults.proxy import HOLD_REQUESTS, PASS, Direction
from tests.faults.rig import STOP_SECONDS
from tests.faults.scene import Scene

_AROUND_SECONDS: Final = 1.0
# BETCORE takes its time, so that a worker has several events in hand whenever it is hit.
_IN_HAND: Final = "slow:0.1"


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
