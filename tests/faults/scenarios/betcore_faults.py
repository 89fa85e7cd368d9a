"""BETCORE: down, slow, half a reply, and a reply that is lost after BETCORE took the accept."""

from typing import Final

from tests.faults.proxy import PASS, REFUSE, Behaviour
from tests.faults.scene import Scene

_AROUND_SECONDS: Final = 1.0
# So slow that a whole reply takes longer than an attempt may.
_STALL: Final = Behaviour(byte_seconds=0.1)
_HANGS: Final = "slow:60"
_WELL: Final = "ok"
_REVOKING_SECONDS: Final = 0.3
_LATENCY: Final = Behaviour(latency_seconds=0.15)


def betcore_down(scene: Scene) -> None:
    """Nobody listens where BETCORE was, and what was connected is cut."""
    scene.least_in_time_share = 1.0
    _through_proxy(scene, {"BETCORE is down": REFUSE})


def betcore_slow(scene: Scene) -> None:
    """BETCORE answers later than an attempt waits; then byte by byte; then with latency."""
    with scene.load(seconds=_load_seconds(scene, outages=1)):
        for _ in range(scene.form.rounds):
            scene.pause(scene.form.outage_seconds)
            with scene.fault("BETCORE takes longer than an attempt may"):
                scene.rig.simulate(accept="slow:4")
                scene.pause(scene.form.outage_seconds)
                scene.rig.simulate(accept="ok")
    _through_proxy(scene, {"BETCORE's replies stall": _STALL, "BETCORE is far": _LATENCY})


def betcore_half(scene: Scene) -> None:
    """BETCORE takes the accept, sends half of its reply, and closes the connection."""
    _scripted(scene, "half", "BETCORE's replies end half-way")


def betcore_lost_reply(scene: Scene) -> None:
    """BETCORE takes the accept, and its reply never comes."""
    _scripted(scene, "lost", "BETCORE's replies are lost")


def accept_hangs(scene: Scene) -> None:
    """BETCORE takes accepts and answers none of them, and is then well."""
    scene.least_in_time_share = 1.0
    with scene.load(seconds=_load_seconds(scene, outages=1)):
        for _ in range(scene.form.rounds):
            scene.pause(scene.form.outage_seconds)
            with scene.fault("BETCORE answers no accept"):
                scene.rig.simulate(accept=_HANGS)
                scene.pause(scene.form.outage_seconds)
                scene.rig.simulate(accept=_WELL)
    _expect_nobody_else_to_pay(scene)


def token_hangs(scene: Scene) -> None:
    """BETCORE rejects all access tokens, and its Token endpoint answers nobody; then it is well."""
    scene.least_in_time_share = 1.0
    with scene.load(seconds=_load_seconds(scene, outages=1)):
        for _ in range(scene.form.rounds):
            scene.pause(scene.form.outage_seconds)
            with scene.fault("BETCORE gives no access token"):
                # A 401 revokes all tokens for good.
                scene.rig.simulate(token=_HANGS, accept="401")
                scene.pause(_REVOKING_SECONDS)
                scene.rig.simulate(accept="ok")
                scene.pause(scene.form.outage_seconds)
                scene.rig.simulate(token=_WELL)
    _expect_nobody_else_to_pay(scene)


def accept_slow(scene: Scene) -> None:
    """BETCORE takes 3 s for each answer, as long as there are makes.

    What is decided at its cut-off has only the reserve for its answer, which is 3 s in the short form.
    """
    scene.least_in_time_share = 1.0
    scene.rig.simulate(accept="slow:3")
    try:
        with (
            scene.fault("BETCORE takes 3 s"),
            scene.load(seconds=2 * scene.form.outage_seconds + _AROUND_SECONDS, only_creditable=True),
        ):
            pass
        _expect_nobody_else_to_pay(scene)
    finally:
        scene.rig.simulate(accept="ok")


def _expect_nobody_else_to_pay(scene: Scene) -> None:
    """All that were taken are answered, and none was turned away for what BETCORE does."""
    scene.wait_for_ends()
    scene.expect_all_answered()
    scene.expect(scene.figures["turned_away"] == 0, f"{scene.figures['turned_away']} makes were turned away")


def _scripted(scene: Scene, action: str, name: str) -> None:
    scene.least_in_time_share = 1.0
    with scene.load(seconds=_load_seconds(scene, outages=1)):
        for _ in range(scene.form.rounds):
            scene.pause(scene.form.outage_seconds)
            with scene.fault(name):
                scene.rig.simulate(accept=action)
                scene.pause(scene.form.outage_seconds)
                scene.rig.simulate(accept="ok")
    scene.wait_for_ends()
    # BETCORE has each of these answers; the record must come to say so, which takes sending it again.
    scene.expect_all_answered()


def _through_proxy(scene: Scene, behaviours: dict[str, Behaviour]) -> None:
    proxy = scene.rig.worker_betcore
    with scene.load(seconds=_load_seconds(scene, outages=len(behaviours))):
        for _ in range(scene.form.rounds):
            for name, behaviour in behaviours.items():
                scene.pause(scene.form.outage_seconds)
                with scene.fault(name):
                    proxy.behave(behaviour)
                    scene.pause(scene.form.outage_seconds)
                    proxy.behave(PASS)


def _load_seconds(scene: Scene, *, outages: int) -> float:
    # BETCORE is as long well as ill: after more outage than that an event may rightly end as expired.
    return scene.form.rounds * outages * 2 * scene.form.outage_seconds + _AROUND_SECONDS
