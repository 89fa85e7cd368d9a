"""A primary's host vanishes, and another server takes its place."""

from typing import Final

from tests.faults.hosts.rig import WORKERS
from tests.faults.hosts.scene import HostScene

_AROUND_SECONDS: Final = 1.5
# From the cut to the new primary, two seconds of which the sentinels wait; and some while under it.
_FAILOVER_SECONDS: Final = 8.0


def valkey_failover(scene: HostScene) -> None:
    """Let the host of Valkey's primary vanish: the sentinels promote its replica."""
    primary = scene.rig.valkey_primary()
    _valkey_cut(scene, primary, scene.rig.others_than(primary))


def valkey_split_brain(scene: HostScene) -> None:
    """Let the receiver alone go on seeing the old primary, which does not know that it is one no more."""
    primary = scene.rig.valkey_primary()
    _valkey_cut(scene, primary, scene.rig.others_than(primary, "receiver"))


def postgres_failover(scene: HostScene) -> None:
    """Let the host of the primary of PostgreSQL vanish: its synchronous standby gets its address."""
    rig, ledger = scene.rig, scene.rig.ledger
    lost = ledger.primary.host
    with scene.load(seconds=_FAILOVER_SECONDS + 2 * _AROUND_SECONDS):
        scene.pause_randomly(0.5, _AROUND_SECONDS)
        with scene.fault(f"{lost} vanishes"), rig.cut((lost,), rig.others_than(lost)):
            scene.pause(scene.form.freeze_seconds)
            ledger.fail_over()
            scene.pause(_AROUND_SECONDS)
            ledger.standby.stop()
    scene.wait_for_ends()
    ledger.rejoin()


def postgres_split_brain(scene: HostScene) -> None:
    """Let the receiver and a worker go on seeing the old primary, while the others have a new one."""
    rig, ledger = scene.rig, scene.rig.ledger
    old, keep = ledger.primary.host, ("receiver", WORKERS[0])
    split_seconds = 2 * scene.form.freeze_seconds
    with scene.load(seconds=split_seconds + 3 * _AROUND_SECONDS):
        scene.pause_randomly(0.5, _AROUND_SECONDS)
        others = rig.others_than(old, *keep)
        with scene.fault(f"{old} goes on for {' and '.join(keep)} alone"), rig.cut((old,), others):
            with ledger.split(rig.others_than(old), keep=keep):
                scene.pause(split_seconds)
            ledger.standby.stop()
    scene.wait_for_ends()
    ledger.rejoin()


def postgres_standby_away(scene: HostScene) -> None:
    """Cut the synchronous standby off: commits wait, nothing is acknowledged that one server alone has."""
    standby = scene.rig.ledger.standby.host
    with scene.load(seconds=scene.form.freeze_seconds + 2 * _AROUND_SECONDS):
        scene.pause_randomly(0.5, _AROUND_SECONDS)
        with scene.fault(f"{standby} vanishes"), scene.rig.cut((standby,), scene.rig.others_than(standby)):
            scene.pause(scene.form.freeze_seconds)


def _valkey_cut(scene: HostScene, primary: str, others: tuple[str, ...]) -> None:
    with scene.load(seconds=_FAILOVER_SECONDS + 2 * _AROUND_SECONDS):
        scene.pause_randomly(0.5, _AROUND_SECONDS)
        with scene.fault(f"{primary} vanishes from {', '.join(others)}"), scene.rig.cut((primary,), others):
            scene.wait_for(
                lambda: scene.rig.valkey_primary() != primary, what="the sentinels promoted the replica"
            )
            scene.pause(scene.form.freeze_seconds)
    # The next failover needs both.
    scene.wait_for(lambda: scene.rig.is_replica(primary), what=f"{primary} follows the new primary")
