"""The cheap BETCORE with keys that can be had, or not, or never come; it counts who asks for them.

`python -m tests.siege.betcore PORT JWKS_FILE`.
"""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

import uvloop

from deploy.local.simulator.protocol.envelope import envelope
from deploy.local.simulator.protocol.paths import JWKS_PATH, VERIFY_PATH
from tests.benchmarks.betcore import NOTHING, BetcoreClient, Connection, Records, reply, serve

Keys = Literal["ok", "hang", "503"]

KEYS_PATH: Final = "/siege/keys/"
CALLS_PATH: Final = "/siege/calls"
_UNAUTHORIZED: Final = 401
_NOT_OURS: Final = reply(json.dumps(envelope(_UNAUTHORIZED)).encode(), status=b"401 Unauthorized")
_AWAY: Final = reply(b"{}", status=b"503 Service Unavailable")


@dataclass(slots=True, kw_only=True)
class Calls:
    """How often the endpoints of the receiver were asked."""

    jwks: int = 0
    verify: int = 0


@dataclass(slots=True)
class Gate:
    """What all connections share: how the keys are, and who asked."""

    keys: Keys
    calls: Calls


class GatedConnection(Connection):
    """One client's connection. No token is good to its Verify endpoint."""

    def __init__(self, key_set: bytes, gate: Gate) -> None:
        super().__init__(Records(), key_set)
        self._gate = gate

    def _answer(self, head: bytes, body: bytes) -> bytes:
        method, path, _ = head.decode("ascii", "replace").split(" ", 2)
        gate = self._gate
        if path == VERIFY_PATH:
            gate.calls.verify += 1
            return _NOT_OURS
        if path == JWKS_PATH:
            gate.calls.jwks += 1
            return {"ok": super()._answer(head, body), "503": _AWAY, "hang": b""}[gate.keys]
        if path == CALLS_PATH:
            return reply(json.dumps(asdict(gate.calls)).encode())
        if method == "POST" and path.startswith(KEYS_PATH):
            name = path.removeprefix(KEYS_PATH)
            if name in {"ok", "hang", "503"}:
                gate.keys = name  # type: ignore[assignment]  # as just asked
                return NOTHING
        return super()._answer(head, body)


class GatedBetcore(BetcoreClient):
    """The runner's view of it."""

    def set_keys(self, keys: Keys) -> None:
        """Have the key endpoint be so from now on."""
        self._client.post(KEYS_PATH + keys).raise_for_status()

    def calls(self) -> Calls:
        """Return how often it was asked so far."""
        return Calls(**self._client.get(CALLS_PATH).raise_for_status().json())


def main(port: int, key_set: bytes) -> None:
    """Serve until SIGTERM."""
    keys, gate = reply(key_set), Gate("ok", Calls())
    uvloop.run(serve(port, lambda: GatedConnection(keys, gate)))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]).read_bytes())
