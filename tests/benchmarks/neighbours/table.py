"""What one producer's flood costs its neighbours: BETCORE's makes, and another partner's events.

The whole path: the Procfile's receiver and one worker with default settings, but for `CASHBACK_PARTNERS`. Its
capacity is measured first, with 128 events under way at any time. Then makes go to the receiver at 20% of
it, and a partner puts events onto its own list at 5%, each at a moment that is fixed beforehand: their times
count from that moment, so that nothing that waits is left out.

- **undisturbed**: nobody else sends.
- **beside a flood**: another partner has ten times of what can be settled during the run on its own list
  before the worker starts.

*refused* are makes that were not answered with 200. *flood per second* is what was settled of the flood
meanwhile. Every event of the neighbours is answered with 200 at BETCORE, or the table fails.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import redis

from cashback_client.contract import SettleMessage, queue_of
from deploy.local.processes import ManagedProcess, wait_until
from tests.benchmarks.drive import SLACK_SECONDS, end_of_load, start_load, write_tokens
from tests.benchmarks.latency import FULL, QUICK, Form, WholePath
from tests.benchmarks.measure import Table, interleave, percentile
from tests.benchmarks.peers.queues import push, receiver_entries
from tests.benchmarks.receiver import OURS, start_receiver
from tests.benchmarks.rig import Rig
from tests.benchmarks.senders import Plan

NAME: Final = "neighbours"
UNDISTURBED: Final = "undisturbed"
FLOODED: Final = "beside a flood"
MAKE_P99: Final = "make_to_accept_p99_ms"
PARTNER_P99: Final = "partner_to_accept_p99_ms"
REFUSED: Final = "refused"

_FLOOD, _PARTNER = "flood", "edge"
_MAKES_SHARE: Final = 0.20
_PARTNER_SHARE: Final = 0.05
_TIMES: Final = 10
_CONNECTIONS: Final = 32
_SUCCESS: Final = 200
_DRAIN_SECONDS: Final = 40.0
_LOOK_SECONDS: Final = 0.5
# Each kind of event has CashbackIds of its own.
_FIRST_OF_PARTNER: Final = 1_000_001
_FIRST_OF_FLOOD: Final = 2_000_001


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is sent in one sample."""

    makes_per_second: float
    partner_per_second: float
    seconds: float
    warm_up_seconds: float
    flood: int


def measure(
    rig: Rig, *, rounds: int, quick: bool, say: Callable[[str], None]
) -> tuple[Table, dict[str, float]]:
    """Measure both rows; returns the table and its ratios. Raises BenchmarkFailed."""
    form = QUICK if quick else FULL
    path = WholePath(rig, form)
    path.start()
    capacity = path.capacity()
    path.stop()
    say(f"{NAME}: the whole path does {capacity:,.0f} events/s with one worker")
    rows: dict[str, Callable[[], Mapping[str, float]]] = {
        UNDISTURBED: partial(_sample, rig, _load(capacity, form, times=0)),
        FLOODED: partial(_sample, rig, _load(capacity, form, times=_TIMES)),
    }
    table = interleave(NAME, "Beside a flood of another producer", "event", rows, rounds=rounds, say=say)
    return table, ratios(table)


def ratios(table: Table) -> dict[str, float]:
    """Return what is held to a bar: of makes and of the partner's events the worse one."""
    ratio_of = {
        value: table.median(FLOODED, value) / table.median(UNDISTURBED, value)
        for value in (MAKE_P99, PARTNER_P99)
    }
    return {"neighbours_p99": max(ratio_of.values()), "neighbours_refused": table.spread(FLOODED, REFUSED)[1]}


def _load(capacity: float, form: Form, *, times: int) -> Load:
    seconds = form.warm_up_seconds + form.sample_seconds
    return Load(
        makes_per_second=_MAKES_SHARE * capacity,
        partner_per_second=_PARTNER_SHARE * capacity,
        seconds=seconds,
        warm_up_seconds=form.warm_up_seconds,
        flood=round(times * capacity * seconds),
    )


def _sample(rig: Rig, load: Load) -> dict[str, float]:
    rig.reset()
    rig.betcore.reset()
    if load.flood:
        tokens = rig.tokens(load.flood, first_cashback_id=_FIRST_OF_FLOOD)
        push(rig.redis_url, receiver_entries(map(_message, tokens)), queue=queue_of(_FLOOD))
    env = {**rig.environment(), "CASHBACK_PARTNERS": f"{_FLOOD},{_PARTNER}"}
    worker = rig.start("worker", rig.procfile("worker"), env)
    web, port = start_receiver(rig, OURS)
    rig.wait_worker(worker)
    try:
        return _Running(rig, load).run(port)
    finally:
        for process in (web, worker):
            process.stop()


class _Running:
    """One sample while it runs."""

    def __init__(self, rig: Rig, load: Load) -> None:
        self._rig = rig
        self._load = load
        self._makes = round(load.makes_per_second * load.seconds)
        self._events = round(load.partner_per_second * load.seconds)

    def run(self, port: int) -> dict[str, float]:
        """Send both, wait for their accepts, and return what came of it."""
        load = self._load
        tokens = self._rig.tokens(self._makes, first_cashback_id=1)
        plan = Plan(
            kind="open",
            port=port,
            tokens_path=write_tokens(self._rig, tokens),
            connections=_CONNECTIONS,
            warm_up=round(load.makes_per_second * load.warm_up_seconds),
            rate_per_second=load.makes_per_second,
        )
        partner = _Partner(self._rig, rate_per_second=load.partner_per_second, events=self._events)
        sending: ManagedProcess = start_load(self._rig, plan)
        partner.start()
        result = end_of_load(self._rig, sending, timeout_seconds=load.seconds + SLACK_SECONDS)
        partner.join()
        refused = sum(count for status, count in result.statuses.items() if status != "200")
        made = {number + 1: due_ns for number, due_ns in enumerate(result.due_ns)}
        put = {_FIRST_OF_PARTNER + number: due_ns for number, due_ns in enumerate(partner.due_ns)}
        arrivals = self._arrivals({**made, **put}, but_for=refused)
        warm = result.due_ns[0] + int(load.warm_up_seconds * 1e9)
        makes_ms, partner_ms = (
            [(arrivals[each] - due) / 1e6 for each, due in of.items() if each in arrivals and due >= warm]
            for of in (made, put)
        )
        run_ns = max(made.values()) - warm
        flood = sum(
            each >= _FIRST_OF_FLOOD and warm <= at_ns <= warm + run_ns for each, at_ns in arrivals.items()
        )
        return {
            "makes_per_second": load.makes_per_second,
            REFUSED: float(refused),
            "make_to_accept_p50_ms": percentile(makes_ms, 0.50),
            MAKE_P99: percentile(makes_ms, 0.99),
            "partner_to_accept_p50_ms": percentile(partner_ms, 0.50),
            PARTNER_P99: percentile(partner_ms, 0.99),
            "flood_per_second": flood / (run_ns / 1e9),
        }

    def _arrivals(self, due: Mapping[int, int], *, but_for: int) -> dict[int, int]:
        """Wait for the accepts of these events; return when each one's first came, by its CashbackId."""
        first: dict[int, int] = {}

        def have_come() -> bool:
            first.clear()
            for cashback_id, at_ns, code in self._rig.betcore.arrivals():
                if code == _SUCCESS:
                    first.setdefault(cashback_id, at_ns)
            time.sleep(_LOOK_SECONDS)
            return len(due.keys() - first.keys()) <= but_for

        wait_until(have_come, what="the neighbours' accepts have come", timeout_seconds=_DRAIN_SECONDS)
        return first


class _Partner:
    """Puts events onto its own list, each at its moment, in a thread of its own."""

    def __init__(self, rig: Rig, *, rate_per_second: float, events: int) -> None:
        self._tokens: Sequence[str] = rig.tokens(events, first_cashback_id=_FIRST_OF_PARTNER)
        self._redis_url = rig.redis_url
        self._gap_ns = int(1e9 / rate_per_second)
        self.due_ns: list[int] = []
        self._thread = threading.Thread(target=self._run, name="partner", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self) -> None:
        """Wait until all are sent."""
        self._thread.join()

    def _run(self) -> None:
        begin_ns = time.monotonic_ns()
        with redis.Redis.from_url(self._redis_url, socket_timeout=_DRAIN_SECONDS) as client:
            for number, token in enumerate(self._tokens):
                due_ns = begin_ns + number * self._gap_ns
                time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
                self.due_ns.append(due_ns)
                client.lpush(queue_of(_PARTNER), *receiver_entries([_message(token)]))


def _message(token: str) -> SettleMessage:
    return SettleMessage(token=token, received_at_ms=int(time.time() * 1_000))
