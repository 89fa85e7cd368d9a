"""What a rig may ask of its simulated BETCORE."""

from typing import Any, Final

import httpx

LOG_LIMIT: Final = 1_000_000
_TIMEOUT_SECONDS: Final = 60.0


class Simulated:
    """A rig with a simulated BETCORE at `simulator_url`; all that is asked raises httpx.HTTPError."""

    @property
    def simulator_url(self) -> str:
        """The simulated BETCORE."""
        raise NotImplementedError

    def simulate(self, **behaviour: str) -> None:
        """Tell the simulator how its endpoints behave from now on."""
        self._simulator("POST", "/sim/behaviour", json=behaviour)

    def simulator_log(self, *, makes_after: int = 0, accepts_after: int = 0) -> dict[str, Any]:
        """Return the simulator's log from these ids on."""
        after = {"makes_after": makes_after, "accepts_after": accepts_after}
        log: dict[str, Any] = self._simulator("GET", "/sim/log", params=after).json()
        return log

    def log_totals(self) -> tuple[int, int]:
        """Return how many makes and accepts the simulator has logged so far."""
        log = self.simulator_log(makes_after=LOG_LIMIT, accepts_after=LOG_LIMIT)
        return int(log["makes_total"]), int(log["accepts_total"])

    def accepts_so_far(self) -> int:
        """Return how many accepts have arrived at the simulator."""
        return self.log_totals()[1]

    def _simulator(self, method: str, path: str, **request: Any) -> httpx.Response:  # noqa: ANN401 -- httpx's own
        with httpx.Client(timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
            return client.request(method, self.simulator_url + path, **request).raise_for_status()
