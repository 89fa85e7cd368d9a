"""One worker killed at each named point of an event's path, the next one at the next point."""

from typing import Final

from deploy.local.processes import ManagedProcess
from tests.faults.proxy import HOLD_REPLIES, HOLD_REQUESTS, PASS, Direction, Proxy
from tests.faults.scene import Scene

_BURST_SECONDS: Final = 0.4


def kill_worker_at_points(scene: Scene) -> None:
    """SIGKILL to a worker while events stand at one point of their path, for each point in turn."""
    # For much of this time no worker is up at all, and the short form's deadline is short.
    scene.least_in_time_share = 0.5
    points = (
        _popped_and_not_noted,
        _before_the_ledger,
        _committed_and_not_told,
        _accept_under_way,
        _acknowledged_and_not_marked,
        _waiting_for_a_retry,
    )
    for number, point in enumerate(points * scene.form.rounds):
        victim = scene.rig.workers[number % len(scene.rig.workers)]
        scene.rig.wait_for_worker(victim)
        point(scene, victim)


def _kill(scene: Scene, victim: ManagedProcess, point: str) -> None:
    scene.kill(victim, name=f"SIGKILL to {victim.name}: {point}")


def _popped_and_not_noted(scene: Scene, victim: ManagedProcess) -> None:
    # The pop is BRPOP, and only then ZADD and HSET note the message: a death in between loses it in Redis.
    redis = scene.rig.worker_redis
    redis.behave(HOLD_REQUESTS)
    with scene.load(seconds=_BURST_SECONDS):
        scene.wait_for(lambda: redis.held(Direction.REQUESTS) > 0, what="a worker has popped a message")
        scene.pause(_BURST_SECONDS)
        _kill(scene, victim, "popped, not noted as unacknowledged")
    _release(redis)


def _before_the_ledger(scene: Scene, victim: ManagedProcess) -> None:
    database = scene.rig.worker_database
    database.behave(HOLD_REQUESTS)
    with scene.load(seconds=_BURST_SECONDS):
        scene.wait_for(lambda: database.held(Direction.REQUESTS) > 0, what="a worker has asked the ledger")
        _kill(scene, victim, "the ledger is asked and does not hear")
    _release(database)


def _committed_and_not_told(scene: Scene, victim: ManagedProcess) -> None:
    database = scene.rig.worker_database
    database.behave(HOLD_REPLIES)
    with scene.load(seconds=_BURST_SECONDS):
        scene.wait_for(lambda: database.held(Direction.REPLIES) > 0, what="the ledger's reply is held")
        scene.pause(_BURST_SECONDS)
        _kill(scene, victim, "committed, and the worker does not know")
    _release(database)


def _accept_under_way(scene: Scene, victim: ManagedProcess) -> None:
    scene.rig.simulate(accept="slow:1")
    accepts = scene.rig.accepts_so_far()
    with scene.load(seconds=_BURST_SECONDS):
        _wait_for_accepts(scene, more_than=accepts)
        _kill(scene, victim, "the accept is under way")
    scene.rig.simulate(accept="ok")


def _acknowledged_and_not_marked(scene: Scene, victim: ManagedProcess) -> None:
    database = scene.rig.worker_database
    scene.rig.simulate(accept="slow:0.3")
    accepts = scene.rig.accepts_so_far()
    with scene.load(seconds=_BURST_SECONDS):
        _wait_for_accepts(scene, more_than=accepts)
        database.behave(HOLD_REQUESTS)
        scene.wait_for(lambda: database.held(Direction.REQUESTS) > 0, what="a mark is held")
        scene.pause(_BURST_SECONDS)
        _kill(scene, victim, "BETCORE has the answer, and it is not marked")
    _release(database)
    scene.rig.simulate(accept="ok")


def _waiting_for_a_retry(scene: Scene, victim: ManagedProcess) -> None:
    scene.rig.simulate(accept="503")
    accepts = scene.rig.accepts_so_far()
    with scene.load(seconds=_BURST_SECONDS):
        _wait_for_accepts(scene, more_than=accepts)
        scene.pause(_BURST_SECONDS)
        _kill(scene, victim, "the next attempt waits in the worker's memory")
    scene.rig.simulate(accept="ok")


def _wait_for_accepts(scene: Scene, *, more_than: int) -> None:
    scene.wait_for(lambda: scene.rig.accepts_so_far() > more_than, what="an accept has arrived")


def _release(proxy: Proxy) -> None:
    # What a killed worker had sent is cut off with it: it never arrives.
    proxy.cut()
    proxy.behave(PASS)
