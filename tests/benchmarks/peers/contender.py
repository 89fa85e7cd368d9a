"""One sample of whoever settles events: fill its queue, let it run, time it, and check that it did its work.

The queue is filled while the workers stand still (SIGSTOP), so all of it is there when the clock starts, and
what filling costs is not measured. The clock starts with the first accept that BETCORE gets and ends with the
last.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol

from deploy.local.processes import ManagedProcess, wait_until
from tests.benchmarks.errors import BenchmarkFailed
from tests.benchmarks.measure import Usage
from tests.benchmarks.rig import Rig
from tests.benchmarks.tokens import EVERYBODY, Crowd

_SERVERS: Final = ("postgres", "valkey", "betcore")
_PATIENCE_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.02
_WARM_UP_SECONDS: Final = 1.5


class Contender(Protocol):
    """Whoever settles events, in one or more worker processes."""

    @property
    def name(self) -> str:
        """Its name in the table."""
        ...

    def reset(self, rig: Rig) -> None:
        """Empty its queue and its books."""
        ...

    def start(self, rig: Rig, *, processes: int) -> list[ManagedProcess]:
        """Start its worker processes and return them when all are ready."""
        ...

    def fill(self, rig: Rig, tokens: Sequence[str], *, first_cashback_id: int) -> None:
        """Put events onto its queue, received now."""
        ...

    def progress(self, rig: Rig, cashbacks: range) -> "Progress":
        """Say how far it has come with the events of these cashbacks, which came with the last filling."""
        ...

    def check(self, rig: Rig, *, events: int) -> None:
        """Raise BenchmarkFailed unless exactly these events are settled and marked; may wait for marks."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How many events are done, and when (monotonic seconds) the first and the last were.

    `repeated` accepts were sent for events that were done already.
    """

    done: int
    first_at: float
    last_at: float
    repeated: int = 0

    @property
    def per_second(self) -> float:
        """Events per second between the first and the last."""
        return (self.done - 1) / max(self.last_at - self.first_at, 1e-9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How long a sample is to last, how many events warm each process up, and how many there are at most."""

    sample_seconds: float
    warm_up_events: int
    most_events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """Which events a sample takes: their first CashbackId, the others follow it, and who they are for."""

    first_cashback_id: int = 1
    crowd: Crowd = EVERYBODY


def _nothing(_rig: Rig) -> None:
    """Put nothing behind the events."""


_SUPPLY: Final = Supply()
FULL: Final = Form(sample_seconds=7.0, warm_up_events=600, most_events=16_000)
QUICK: Final = Form(sample_seconds=2.5, warm_up_events=300, most_events=6_000)
TRIAL: Final = Form(sample_seconds=3.0, warm_up_events=400, most_events=8_000)


def sample(  # noqa: PLR0913 -- what is measured, how, and with what; keyword-only
    rig: Rig,
    contender: Contender,
    *,
    processes: int,
    form: Form,
    supply: Supply = _SUPPLY,
    behind: Callable[[Rig], None] = _nothing,
) -> dict[str, float]:
    """Measure one sample; raises BenchmarkFailed where the books say that the work was not done.

    `behind` is called when the events are in the queue and the workers still stand: it may add more.
    """
    contender.reset(rig)
    workers = contender.start(rig, processes=processes)
    try:
        first = supply.first_cashback_id
        warm, per_second = _warm_up(
            rig, contender, workers, most=form.warm_up_events * processes, supply=supply
        )
        events = events_for(per_second, form)
        freeze(workers)
        _fill(rig, contender, events, first_cashback_id=first + warm, crowd=supply.crowd)
        behind(rig)
        with Usage({"worker": [worker.pid for worker in workers], **rig.server_pids()}) as usage:
            thaw(workers)
            progress = _finish(rig, contender, workers, range(first + warm, first + warm + events))
        contender.check(rig, events=warm + events)
    finally:
        kill(workers)
    return figures(usage, events=events, progress=progress)


def _warm_up(
    rig: Rig, contender: Contender, workers: Sequence[ManagedProcess], *, most: int, supply: Supply
) -> tuple[int, float]:
    """Settle some events, then as many as take some seconds, up to `most`; return how many and the rate."""
    first, some = supply.first_cashback_id, most // 5
    _fill(rig, contender, some, first_cashback_id=first, crowd=supply.crowd)
    per_second = _finish(rig, contender, workers, range(first, first + some)).per_second
    more = max(some, min(most - some, int(per_second * _WARM_UP_SECONDS)))
    _fill(rig, contender, more, first_cashback_id=first + some, crowd=supply.crowd)
    cashbacks = range(first + some, first + some + more)
    return some + more, _finish(rig, contender, workers, cashbacks).per_second


def _fill(rig: Rig, contender: Contender, events: int, *, first_cashback_id: int, crowd: Crowd) -> None:
    tokens = rig.tokens(events, first_cashback_id=first_cashback_id, crowd=crowd)
    rig.betcore.reset()
    contender.fill(rig, tokens, first_cashback_id=first_cashback_id)


def events_for(per_second: float, form: Form) -> int:
    """Return how many events a sample takes, from the rate of the warm-up."""
    wanted = int(per_second * form.sample_seconds)
    return max(50, min(wanted, form.most_events))


def figures(usage: Usage, *, events: int, progress: Progress) -> dict[str, float]:
    """Return the values of a sample: rate, CPU per event by process and in total, memory."""
    cpu_ms = {name: seconds * 1000 / events for name, seconds in usage.cpu_seconds.items()}
    return {
        "events_per_second": progress.per_second,
        "cpu_ms_per_event": sum(cpu_ms.values()),
        **{f"{name}_cpu_ms": cpu_ms[name] for name in ("worker", *_SERVERS)},
        "peak_rss_mb": usage.peak_rss_mb["worker"],
        "events": events,
        "repeated_accepts": progress.repeated,
    }


def _finish(rig: Rig, contender: Contender, workers: Sequence[ManagedProcess], cashbacks: range) -> Progress:
    last = Progress(done=0, first_at=0.0, last_at=0.0)

    def is_done() -> bool:
        nonlocal last
        last = contender.progress(rig, cashbacks)
        return last.done >= len(cashbacks)

    wait_for(is_done, workers, what=f"{contender.name} has done {len(cashbacks)} events")
    return last


def wait_for(check: Callable[[], bool], workers: Sequence[ManagedProcess], *, what: str) -> None:
    """Wait until `check()`; raises ProcessDied where a worker ends, NotReadyInTime."""

    def looks_good() -> bool:
        for worker in workers:
            if not worker.is_running:
                raise BenchmarkFailed(f"{worker.name} ended before {what}:\n{worker.log_tail()}")
        time.sleep(_LOOK_SECONDS)
        return check()

    wait_until(looks_good, what=what, timeout_seconds=_PATIENCE_SECONDS)


def freeze(workers: Sequence[ManagedProcess]) -> None:
    """Let the workers stand still."""
    for worker in workers:
        worker.freeze()


def thaw(workers: Sequence[ManagedProcess]) -> None:
    """Let them go on."""
    for worker in workers:
        worker.thaw()


def kill(workers: Sequence[ManagedProcess]) -> None:
    """End the workers at once: what they hold is nobody's any more."""
    with ThreadPoolExecutor(max_workers=max(1, len(workers))) as pool:
        # Read to the end, so that what failed is raised.
        list(pool.map(ManagedProcess.kill, workers))
