"""One attack after the other on a receiver with real servers, before, under and after it."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Final, Literal, Self

from deploy.local.ports import LOCALHOST, free_port
from deploy.local.processes import ManagedProcess, wait_until
from tests.benchmarks.betcore import STATE_PATH
from tests.benchmarks.drive import write_tokens
from tests.benchmarks.rig import Rig
from tests.siege.betcore import GatedBetcore
from tests.siege.catalogue import Attack
from tests.siege.errors import SenderFailed
from tests.siege.figures import Phases, Seen, Window, ratio_of, seen_in, windows_of
from tests.siege.senders.plans import AttackOrders, HonestOrders, Orders
from tests.siege.watch import Cores, Watch

OPEN_PER_SECOND: Final = 200.0
CLOSED_CONNECTIONS: Final = 32
# No receiver here takes more in a second.
_MOST_PER_SECOND: Final = 9_000
_START_SECONDS: Final = 0.3
_READY_SECONDS: Final = 120.0
_END_SECONDS: Final = 60.0
# No worker runs here, as the receiver is what is attacked: what it takes waits, and is not to close it.
_NO_BACKLOG: Final = {
    "CASHBACK_DEADLINE_SECONDS": "600",
    "CASHBACK_ANSWER_RESERVE_SECONDS": "5",
    "CASHBACK_SHED_WAIT_SECONDS": "590",
}

HonestKind = Literal["open", "closed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Besieged:
    """One kind of honest makes under one attack."""

    windows: dict[str, Window]
    seen: Seen
    attacker: dict[str, Any]
    betcore: dict[str, int]
    survived: bool

    @property
    def ratio(self) -> float:
        """Honest makes ÷ before."""
        return ratio_of(self.windows)


class Siege:
    """Attacks on one rig. Inside its `with` block a BETCORE of its own serves."""

    def __init__(self, rig: Rig, *, seconds: float, seed: int) -> None:
        self._rig = rig
        self._seed = seed
        self.phases = Phases(warm_up=1.0, before=3.0, attack=seconds, calm=1.0, after=3.0)
        self.cores = Cores.of_this_machine()
        self._port = free_port()
        self._cleanup = ExitStack()
        self._opens = round(self.phases.seconds * OPEN_PER_SECOND)

    def __enter__(self) -> Self:
        keys = self._rig.directory / "jwks.json"
        process = self._rig.python("gated-betcore", "tests.siege.betcore", str(self._port), str(keys))
        self._cleanup.callback(process.stop)
        self._rig.wait_http(process, self._port, STATE_PATH)
        self._betcore = GatedBetcore(f"http://{LOCALHOST}:{self._port}")
        self._cleanup.callback(self._betcore.close)
        closed = round((self.phases.seconds + 1) * _MOST_PER_SECOND)
        # One more than are sent: what is sent again and again is nobody's honest make.
        *tokens, self._token = self._rig.tokens(self._opens + closed + 1, first_cashback_id=1)
        self._tokens_path = write_tokens(self._rig, tokens)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def lay(self, attack: Attack, *, say: Callable[[str], None]) -> dict[HonestKind, Besieged]:
        """Attack a new receiver twice: with honest makes at a steady rate, and with as many as it takes."""
        outcome: dict[HonestKind, Besieged] = {}
        self._rig.reset()
        with self._receiver(attack) as (receiver, port):
            for kind in ("open", "closed"):
                outcome[kind] = self._besiege(attack, kind, receiver, port)
                say(f"  {kind}: {outcome[kind].ratio:.2f} of before")
        return outcome

    @contextmanager
    def _receiver(self, attack: Attack) -> Iterator[tuple[ManagedProcess, int]]:
        port = free_port()
        held = [sys.executable, "-m", "tests.siege.senders.held"]
        limits = ["-" if value is None else str(value) for value in (self.cores.service, attack.open_files)]
        env = {
            **self._rig.environment(),
            **_NO_BACKLOG,
            **attack.settings,
            "CASHBACK_BETCORE_URL": f"http://{LOCALHOST}:{self._port}",
            "PORT": str(port),
        }
        self._betcore.set_keys("ok")
        process = self._rig.start("web", [*held, *limits, *self._rig.procfile("web")], env)
        try:
            self._rig.wait_http(process, port, "/readyz")
            yield process, port
        finally:
            process.stop()

    def _besiege(self, attack: Attack, kind: HonestKind, receiver: ManagedProcess, port: int) -> Besieged:
        phases = self.phases
        honest = HonestOrders(
            **self._orders("honest", port, self.cores.service),
            kind=kind,
            tokens_path=self._tokens_path,
            skip=0 if kind == "open" else self._opens,
            seconds=phases.seconds,
            per_second=OPEN_PER_SECOND,
            connections=CLOSED_CONNECTIONS,
        )
        attacker = self._attack_orders(attack, port)
        with ExitStack() as stack:
            processes = [
                stack.enter_context(self._sender(honest, "honest")),
                stack.enter_context(self._sender(attacker, "attacker")),
            ]
            begun = _go(honest)
            watch = stack.enter_context(Watch(receiver))
            calls = self._meanwhile(attack, begun)
            for process in processes:
                self._end(process)
            watch.stop()
        records = [tuple(record) for record in json.loads(honest.result_path.read_text("utf-8"))]
        return Besieged(
            windows=windows_of(records, phases),
            seen=seen_in(watch.looks, phases, begun=begun),
            attacker=json.loads(attacker.result_path.read_text("utf-8")),
            betcore=calls,
            survived=receiver.is_running,
        )

    def _orders(self, name: str, port: int, core: int | None) -> dict[str, Any]:
        return {"name": name, "port": port, "core": core, "directory": str(self._rig.directory)}

    def _attack_orders(self, attack: Attack, port: int) -> AttackOrders:
        return AttackOrders(
            **self._orders("attacker", port, self.cores.attacker),
            kind=attack.kind,
            begins_after=self.phases.attack_begins,
            seconds=self.phases.attack,
            seed=self._seed,
            token=self._token,
            sources=attack.sources,
            connections=attack.connections,
            per_second=attack.per_second,
            batch=attack.batch,
            size_bytes=attack.size_bytes,
            pause_seconds=attack.pause_seconds,
            ammunition=attack.ammunition,
            hangs_up=attack.hangs_up,
        )

    @contextmanager
    def _sender(self, orders: Orders, name: str) -> Iterator[ManagedProcess]:
        """Run a sender up to where it waits for the others."""
        orders.go_path.unlink(missing_ok=True)
        orders.write()
        process = self._rig.python(name, f"tests.siege.senders.{name}", str(orders.plan_path))
        try:
            wait_until(
                orders.ready_path.exists,
                what=f"{name} is prepared",
                timeout_seconds=_READY_SECONDS,
                process=process,
            )
            yield process
        finally:
            process.stop()

    def _meanwhile(self, attack: Attack, begun: float) -> dict[str, int]:
        """Have BETCORE's keys be as the attack wants them, and return who asked for what meanwhile."""
        _sleep_until(begun + self.phases.attack_begins - _START_SECONDS)
        before = asdict(self._betcore.calls())
        self._betcore.set_keys(attack.keys)
        _sleep_until(begun + self.phases.attack_ends)
        self._betcore.set_keys("ok")
        after = asdict(self._betcore.calls())
        return {name: after[name] - before[name] for name in after}

    def _end(self, process: ManagedProcess) -> None:
        status = process.wait(timeout_seconds=self.phases.seconds + _END_SECONDS)
        if status != 0:
            raise SenderFailed(f"{process.name} ended with status {status}:\n{process.log_tail()}")


def _go(orders: Orders) -> float:
    """Have all senders begin, and return the moment."""
    begun = time.monotonic() + _START_SECONDS
    unfinished = orders.go_path.with_suffix(".unfinished")
    unfinished.write_text(repr(begun), "ascii")
    unfinished.rename(orders.go_path)
    return begun


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))
