"""Hosts that are far away: nothing is lost, and everything takes longer."""

import socket
import time
from collections.abc import Mapping
from typing import Final

from tests.faults.hosts.processes import BETCORE_PORT, log_path
from tests.faults.hosts.relays.delay import delayed
from tests.faults.hosts.scene import HostScene

# Of each packet, one way.
_DELAYS_MS: Final[Mapping[str, tuple[float, float]]] = {
    "betcore": (50.0, 150.0),
    "postgres1": (8.0, 12.0),
    "postgres2": (8.0, 12.0),
}
_PROBES: Final = 3
_PROBE_SECONDS: Final = 10.0


def far_away(scene: HostScene) -> None:
    """Let BETCORE be 200 ms away, there and back, and PostgreSQL 20 ms: everything is in time."""
    rig = scene.rig
    scene.least_in_time_share = 1.0
    far = delayed(rig.network, _DELAYS_MS, log_path=log_path(rig.directory, "lines"))
    with scene.fault("BETCORE and PostgreSQL are far away"), far:
        nearest_ms = 1000 * _round_trip_seconds(rig.network.addresses["betcore"])
        scene.figures["round_trip_ms"] = round(nearest_ms)
        least_ms = 2 * _DELAYS_MS["betcore"][0]
        scene.expect(nearest_ms >= least_ms, f"BETCORE is {nearest_ms:.0f} ms away: it proves nothing")
        with scene.load(seconds=2 * scene.form.freeze_seconds):
            pass
        scene.wait_for_ends()


def _round_trip_seconds(address: str) -> float:
    """Return how long the fastest of some connections takes to open."""
    taken = []
    for _ in range(_PROBES):
        began = time.monotonic()
        with socket.create_connection((address, BETCORE_PORT), timeout=_PROBE_SECONDS):
            taken.append(time.monotonic() - began)
    return min(taken)
