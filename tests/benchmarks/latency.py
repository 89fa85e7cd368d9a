"""How long an event takes from the sending of its make to the arrival of its accept.

The whole path: the Procfile's receiver and one worker of it, with default settings. Its capacity is
measured first, with 128 events under way at any time. Then makes go out at 10%, 50% and 80% of that rate,
evenly, each at a moment that is fixed beforehand: the time counts from that moment, so that nothing that
waits is left out.

- **hop: …** and **sum of the hops**: the medians of the path's parts, each alone on the idle machine, and
  their sum: an HTTP round trip to a server that does nothing, the verification of a token, a commit of one
  record, a message through Valkey, the verification again, one call of the ledger's function, and the
  accept's round trip.

The makes of a sample are all answered with 200, and all their accepts say 200, or the table fails.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from deploy.local.demo.hops import Places, measure_hops
from deploy.local.processes import ManagedProcess, wait_until
from tests.benchmarks.drive import cost_of, send_load, write_tokens
from tests.benchmarks.errors import BenchmarkFailed
from tests.benchmarks.measure import Sample, Table, interleave, percentile
from tests.benchmarks.receiver import OURS, start_receiver
from tests.benchmarks.rig import Rig
from tests.benchmarks.senders import Plan, Result

NAME: Final = "latency"
SHARES: Final = (0.10, 0.50, 0.80)
COMPARED: Final = 0.50
HOPS: Final = "sum of the hops"
P50: Final = "p50_ms"
P99: Final = "p99_ms"
WINDOW: Final = 128
_CONNECTIONS: Final = 32
_SUCCESS: Final = 200
_DRAIN_SECONDS: Final = 40.0
# Nobody's whole path does more on one core.
_MOST_PER_SECOND: Final = 4_000
_LEAST_MAKES: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How long a run of this table takes."""

    capacity_seconds: float
    sample_seconds: float
    warm_up_seconds: float = 1.0


FULL: Final = Form(capacity_seconds=8.0, sample_seconds=10.0)
QUICK: Final = Form(capacity_seconds=3.0, sample_seconds=3.0)


def measure(
    rig: Rig, *, rounds: int, quick: bool, say: Callable[[str], None]
) -> tuple[Table, dict[str, float]]:
    """Measure the table; returns it and p99_at_half_vs_hops."""
    path = WholePath(rig, QUICK if quick else FULL)
    path.start()
    capacity = path.capacity()
    say(f"{NAME}: the whole path does {capacity:,.0f} events/s with one worker")
    rows: dict[str, Callable[[], Mapping[str, float]]] = {HOPS: path.hops}
    for share in SHARES:
        rows[row_name(share)] = partial(path.sample, share * capacity)
    title = f"From make to accept, at shares of {capacity:,.0f} events/s, one worker"
    table = interleave(NAME, title, "event", rows, rounds=rounds, say=say)
    path.stop()
    table = with_rows_of_hops(table)
    return table, ratios(table)


def row_name(share: float) -> str:
    """Return the name of a row."""
    return f"{share:.0%} of capacity"


def with_rows_of_hops(table: Table) -> Table:
    """Return the table with a row for each hop beside the row of their sum, each with its `p50_ms`."""
    samples: list[Sample] = []
    for sample in table.samples:
        if sample.row == HOPS:
            samples += [
                replace(sample, row=f"hop: {name.replace('_', ' ')}", values={P50: value})
                for name, value in sample.values.items()
            ]
            samples.append(replace(sample, values={P50: sum(sample.values.values())}))
        else:
            samples.append(sample)
    return replace(table, samples=tuple(samples))


def ratios(table: Table) -> dict[str, float]:
    """Return this table's entry of the report's ratios, from medians."""
    return {"p99_at_half_vs_hops": table.median(row_name(COMPARED), P99) / table.median(HOPS, P50)}


class WholePath:
    """The running path, and the events that have gone through it."""

    def __init__(self, rig: Rig, form: Form) -> None:
        self._rig = rig
        self._form = form
        self._next_id = 1

    def start(self) -> None:
        """Start receiver and worker on empty books."""
        self._rig.reset()
        worker = self._rig.start("worker", self._rig.procfile("worker"), self._rig.environment())
        web, self._port = start_receiver(self._rig, OURS)
        self._rig.wait_worker(worker)
        self._processes: dict[str, ManagedProcess] = {"web": web, "worker": worker}

    def stop(self) -> None:
        """Stop both, and check the books: one transaction for each event, and all of them answered."""
        for process in self._processes.values():
            process.stop()
        books = self._rig.books()
        events = self._next_id - 1
        if not books.receipts == books.answered == books.transactions == events:
            raise BenchmarkFailed(f"{events} events were sent, and the books hold {books}")

    def capacity(self) -> float:
        """Return the rate at which accepts come with WINDOW events under way, per second."""
        seconds = self._form.capacity_seconds
        makes = int(seconds * _MOST_PER_SECOND)
        tokens = self._rig.tokens(makes, first_cashback_id=self._next_id)
        plan = Plan(
            kind="window",
            port=self._port,
            tokens_path=write_tokens(self._rig, tokens),
            connections=_CONNECTIONS,
            warm_up=4 * WINDOW,
            seconds=seconds,
            betcore_port=int(self._rig.betcore_url.rpartition(":")[2]),
            window=WINDOW,
        )
        result, _ = send_load(self._rig, plan, processes=self._processes, makes=makes)
        arrivals = self._arrivals(result)
        timed = [at for at in arrivals.values() if result.begun_at <= at / 1e9 <= result.ended_at]
        if len(timed) < _LEAST_MAKES:
            raise BenchmarkFailed(f"only {len(timed)} accepts came in {seconds:g} s")
        return (len(timed) - 1) / ((max(timed) - min(timed)) / 1e9)

    def sample(self, rate_per_second: float) -> dict[str, float]:
        """Send at a steady rate; return percentiles of the time from each make's moment to its accept."""
        warm_up = round(rate_per_second * self._form.warm_up_seconds)
        makes = warm_up + max(_LEAST_MAKES, round(rate_per_second * self._form.sample_seconds))
        first_id = self._next_id
        plan = Plan(
            kind="open",
            port=self._port,
            tokens_path=write_tokens(self._rig, self._rig.tokens(makes, first_cashback_id=first_id)),
            connections=_CONNECTIONS,
            warm_up=warm_up,
            rate_per_second=rate_per_second,
        )
        result, usage = send_load(self._rig, plan, processes=self._processes, makes=makes)
        arrivals = self._arrivals(result)
        taken_ms = [
            (arrivals[first_id + number] - due_ns) / 1e6 for number, due_ns in enumerate(result.due_ns)
        ][warm_up:]
        return {
            "events_per_second": rate_per_second,
            P50: percentile(taken_ms, 0.50),
            P99: percentile(taken_ms, 0.99),
            "max_ms": max(taken_ms),
            "make_p50_ms": percentile(result.latencies_ms, 0.50),
            "make_p99_ms": percentile(result.latencies_ms, 0.99),
            **cost_of(result, usage),
        }

    def hops(self) -> dict[str, float]:
        """Return the medians of the bare hops, in milliseconds."""
        self._rig.drop_database("hops")
        url = self._rig.betcore_url
        return measure_hops(
            Places(
                receiver_url=url,
                simulator_url=url,
                redis_url=self._rig.redis_url,
                database_url=self._rig.database_url,
            )
        )

    def _arrivals(self, result: Result) -> dict[int, int]:
        """Wait for all accepts; return the moment of each event's first one by its id, in nanoseconds."""
        betcore = self._rig.betcore
        sent = sum(result.statuses.values())
        what = f"all {sent} accepts have come"
        wait_until(lambda: betcore.state().successes >= sent, what=what, timeout_seconds=_DRAIN_SECONDS)
        first: dict[int, int] = {}
        for cashback_id, at_ns, code in betcore.arrivals():
            if code == _SUCCESS:
                first.setdefault(cashback_id, at_ns)
        betcore.reset()
        if set(first) != set(range(self._next_id, self._next_id + sent)):
            raise BenchmarkFailed(f"{sent} makes were sent, and accepts of {len(first)} cashbacks came")
        self._next_id += sent
        return first
