"""A name with two addresses, of which one is dead and nobody says so."""

from contextlib import ExitStack
from typing import Final

from tests.faults.hosts.processes import BETCORE_NAME, BETCORE_PORT
from tests.faults.hosts.rig import WORKERS
from tests.faults.hosts.scene import HostScene

_BEFORE_SECONDS: Final = 1.5


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
