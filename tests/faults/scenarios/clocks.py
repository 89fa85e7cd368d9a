"""Clocks that are stepped while the processes run, on one machine and not on the others."""

from pathlib import Path
from typing import Final

from tests.faults.rig import STOP_SECONDS
from tests.faults.scene import Scene

_CLOCK_MODULE: Final = Path(__file__).parents[1] / "clock"
_AROUND_SECONDS: Final = 1.0
_STEP_SECONDS: Final = (0.2, 0.4)
# Within the leeway that tokens have, and then beyond it: the receiver must turn makes away then, and no more.
_RECEIVER_STEPS_SECONDS: Final = (3.0, -3.0, 60.0, 0.0)
# The last one stays until all events have ended: nothing may rest on the clock's coming right again.
_WORKER_STEPS_SECONDS: Final = (3_600.0, -3_600.0)


def clock_steps(scene: Scene) -> None:
    """Step the receiver's clock and one worker's to and fro under load."""
    rig = scene.rig
    receiver_clock, worker_clock = (
        rig.options.directory / name for name in ("receiver.clock", "worker.clock")
    )
    receiver = rig.new_receiver(name="web.stepped", settings=_stepped(receiver_clock))
    worker = rig.new_worker(name="worker.stepped", settings=_stepped(worker_clock))
    # No worker with a right clock is left to make up for what this one gets wrong.
    rig.stop_workers()
    rig.receiver.stop(timeout_seconds=STOP_SECONDS)
    try:
        worker.start()
        receiver.start()
        rig.wait_for_receiver(receiver)
        rig.wait_for_worker(worker)
        steps = len(_WORKER_STEPS_SECONDS) * (1 + len(_RECEIVER_STEPS_SECONDS)) * scene.form.rounds
        with scene.load(seconds=steps * _STEP_SECONDS[1] + _AROUND_SECONDS):
            for worker_seconds in _WORKER_STEPS_SECONDS * scene.form.rounds:
                _step(scene, worker_clock, worker_seconds, name="the worker's clock")
                for receiver_seconds in _RECEIVER_STEPS_SECONDS:
                    _step(scene, receiver_clock, receiver_seconds, name="the receiver's clock")
        scene.wait_for_ends()
    finally:
        receiver.stop(timeout_seconds=STOP_SECONDS)
        worker.stop(timeout_seconds=STOP_SECONDS)
        for process in (rig.receiver, *rig.workers):
            process.start()


def _stepped(clock: Path) -> dict[str, str]:
    clock.write_text("0", "ascii")
    return {"PYTHONPATH": str(_CLOCK_MODULE), "FAULTS_CLOCK_FILE": str(clock.resolve())}


def _step(scene: Scene, clock: Path, offset_seconds: float, *, name: str) -> None:
    with scene.fault(f"{name} is stepped to {offset_seconds:+g} s"):
        # Replaced, not written over: a reader finds one number or the other.
        fresh = clock.with_suffix(".new")
        fresh.write_text(str(offset_seconds), "ascii")
        fresh.replace(clock)
    scene.pause_randomly(*_STEP_SECONDS)
