"""What the senders are told, and how they begin together. Each is a process of its own."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Literal, Self

from deploy.local.ports import LOCALHOST
from tests.siege.errors import NotLoopback, SenderFailed

MAX_SECONDS: Final = 10.0
"""No attack takes longer."""
_POLL_SECONDS: Final = 0.01
_GO_SECONDS: Final = 300.0

Kind = Literal["nothing", "head", "unfinished", "slow body", "endless body", "flood", "burst"]
Ammunition = Literal["garbage", "long token", "bad signature", "unknown kid", "replay"]


def require_loopback(address: str) -> None:
    """Raise NotLoopback for all but the numbers of this machine's own loopback."""
    try:
        is_loopback = ip_address(address).is_loopback
    except ValueError:
        # A name may mean another machine tomorrow.
        is_loopback = False
    if not is_loopback:
        raise NotLoopback(f"{address!r} is no loopback address: the siege attacks this machine alone")


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What every sender is told: where to send, on which core to run, and the files to begin and end by.

    `core`: None where processes cannot be held to one.
    """

    port: int
    directory: str
    name: str
    host: str = LOCALHOST
    core: int | None = None

    def __post_init__(self) -> None:
        require_loopback(self.host)

    @property
    def result_path(self) -> Path:
        """Where what came of it is written."""
        return Path(self.directory, f"{self.name}.result.json")

    @property
    def plan_path(self) -> Path:
        """Where the sender reads this."""
        return Path(self.directory, f"{self.name}.plan.json")

    @property
    def ready_path(self) -> Path:
        """What is there once the sender can begin."""
        return Path(self.directory, f"{self.name}.ready")

    @property
    def go_path(self) -> Path:
        """What is there once all are to begin; it holds the moment, by the machine's monotonic clock."""
        return Path(self.directory, "go")

    def write(self) -> None:
        """Keep it for the process, and remove what the last one left."""
        for path in (self.ready_path, self.result_path):
            path.unlink(missing_ok=True)
        self.plan_path.write_text(json.dumps(asdict(self)), "utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return what was written; raises NotLoopback."""
        values: Mapping[str, Any] = json.loads(path.read_text("utf-8"))
        known = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})

    def hold_to_core(self) -> None:
        """Run on the core that was given, with all that is started from here."""
        if self.core is not None:
            os.sched_setaffinity(0, {self.core})

    def wait_for_go(self) -> float:
        """Say that all is prepared, and return the moment at which everybody begins."""
        self.ready_path.touch()
        ends_at = time.monotonic() + _GO_SECONDS
        while not self.go_path.exists():
            if time.monotonic() > ends_at:
                raise SenderFailed("nobody said go")
            time.sleep(_POLL_SECONDS)
        return float(self.go_path.read_text("ascii"))


@dataclass(frozen=True, slots=True, kw_only=True)
class HonestOrders(Orders):
    """Makes with the tokens of a file, the first `skip` of them left out.

    *open*: `per_second` at moments that are fixed beforehand, every other one on a connection of its own.
    *closed*: each of `connections` sends its next one when the last one is answered.
    """

    kind: Literal["open", "closed"]
    tokens_path: str
    skip: int
    seconds: float
    per_second: float = 0.0
    connections: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackOrders(Orders):
    """An attack, from `begins_after` seconds on; see the catalogue for its parts."""

    kind: Kind
    begins_after: float
    seconds: float
    seed: int
    token: str
    sources: Sequence[str]
    connections: int = 1
    per_second: float = 0.0
    batch: int = 1
    size_bytes: int = 0
    pause_seconds: float = 0.02
    ammunition: Ammunition = "garbage"
    hangs_up: bool = False

    def __post_init__(self) -> None:
        # Without arguments `super` does not find its way in a class with slots.
        Orders.__post_init__(self)
        for source in self.sources:
            require_loopback(source)
        if self.seconds > MAX_SECONDS:
            raise SenderFailed(f"an attack of {self.seconds:g} s is longer than {MAX_SECONDS:g} s")


@dataclass(slots=True, kw_only=True)
class Tally:
    """What the attacker did and what it was told. `held_back`: requests that no connection was free for."""

    requests: int = 0
    bytes_sent: int = 0
    opened: int = 0
    not_opened: int = 0
    lost: int = 0
    held_back: int = 0
    statuses: dict[str, int] = field(default_factory=dict)

    def answered(self, status: str) -> None:
        """Count a reply."""
        self.statuses[status] = self.statuses.get(status, 0) + 1
