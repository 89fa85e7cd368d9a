"""BETCORE's name: one of its two addresses is dead and nobody says so, or nobody says its addresses."""

from contextlib import ExitStack
from typing import Final

from tests.faults.hosts.processes import BETCORE_NAME, BETCORE_PORT
from tests.faults.hosts.rig import WORKERS
from tests.faults.hosts.scene import HostScene

_BEFORE_SECONDS: Final = 1.5
# Long enough for the receiver to ask for keys.
_CUT_SECONDS: Final = 1.5
_LEAST_SILENCE_SECONDS: Final = 2.0


def betcore_two_addresses(scene: HostScene) -> None:
    """Let the first address of BETCORE's name fall silent until all is answered: the second one serves."""
    network = scene.rig.network
    tried_first = {network.resolved(BETCORE_NAME, host=host)[0] for host in WORKERS}
    scene.expect(len(tried_first) == 1, f"the workers try {sorted(tried_first)} first: it proves nothing")
    with ExitStack() as silence:
        with scene.load(seconds=_BEFORE_SECONDS + scene.form.freeze_seconds):
            # Connections that are kept alive fall silent, too.
            scene.pause(_BEFORE_SECONDS)
            silence.enter_context(scene.fault(f"{', '.join(tried_first)} is silent"))
            silence.enter_context(network.silent(tried_first, host="betcore", port=BETCORE_PORT))
        # Not until it is back: every event could be answered in the end, then.
        scene.wait_for_ends()


def dns_hangs(scene: HostScene) -> None:
    """Let the server of names answer nobody, and reset connections: who calls BETCORE waits for its name."""
    scene.least_in_time_share = 1.0
    rig, network = scene.rig, scene.rig.network
    rig.names.unanswered.clear()
    seconds = max(_LEAST_SILENCE_SECONDS, scene.form.outage_seconds)
    with network.without_files():
        # As long well as ill: after more outage than that an event may rightly end as expired.
        with scene.load(seconds=scene.form.rounds * 2 * seconds + _BEFORE_SECONDS):
            for _ in range(scene.form.rounds):
                scene.pause(seconds)
                with scene.fault("no name is resolved"), rig.names.silent():
                    # Who is connected needs no name.
                    with network.resets(host="betcore", port=BETCORE_PORT):
                        scene.pause(_CUT_SECONDS)
                    scene.pause(seconds - _CUT_SECONDS)
        scene.wait_for_ends()
        # The receiver asks for keys alone. Nobody's first question is ever answered.
        scene.wait_for(
            lambda: rig.names.unanswered <= rig.names.answered,
            what="whoever waited for a name has given up and asked again",
            seconds=scene.form.deadline_seconds,
        )
    scene.expect_all_answered()
    turned_away = scene.figures["turned_away"]
    scene.expect(turned_away == 0, f"{turned_away:g} makes were turned away")
    for host in ("receiver", *WORKERS):
        asked = network.addresses[host] in rig.names.unanswered
        scene.expect(asked, f"the {host} asked for no name meanwhile: it proves nothing")
