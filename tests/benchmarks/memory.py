"""The memory of a worker process after 10,000 and after 1,000,000 events; its queue is filled as it empties.

A million whole events would take most of an hour here, so one event in fifty is a whole one: a new token,
credited, accepted and marked. The others are repeats of events that were answered before: the message is
taken, verified and acknowledged, with its Celery request, its task events and its call of the ledger, which
says that it is closed. No accept is sent for them. What could pile up per message, per task id or per
connection would; that the whole ones are 20,000 and not a million is all that is less.

One worker, the Procfile's command and default settings. Memory is the resident set, the median of some looks
while work is done.
"""

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import psutil  # type: ignore[import-untyped]  # ships no type information

from cashback_client.contract import QUEUE
from deploy.local.processes import ManagedProcess
from tests.benchmarks.measure import Table, interleave
from tests.benchmarks.peers import queues
from tests.benchmarks.peers.contender import kill, wait_for
from tests.benchmarks.peers.ours import Ours, check_books
from tests.benchmarks.rig import Rig

NAME: Final = "memory"
ROW: Final = "ours, 1 process"
EARLY_MB: Final = "early_rss_mb"
LATE_MB: Final = "late_rss_mb"
# One of so many events is a whole one.
WHOLE_OF: Final = 50
BATCH: Final = 2_000
_LOOKS: Final = 9
_LOOK_SECONDS: Final = 0.2
_MB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """After how many events memory is looked at: the first time and the last."""

    early_events: int
    late_events: int


FULL: Final = Span(early_events=10_000, late_events=1_000_000)
QUICK: Final = Span(early_events=2_000, late_events=10_000)


def measure(
    rig: Rig, *, rounds: int, quick: bool, say: Callable[[str], None]
) -> tuple[Table, dict[str, float]]:
    """Measure once, whatever `rounds` says: it takes long. Raises BenchmarkFailed."""
    del rounds
    span = QUICK if quick else FULL
    rows = {ROW: lambda: _grow(rig, span, say=say)}
    table = interleave(NAME, "Memory of a worker", "event", rows, rounds=1, say=say)
    return table, {"memory_growth": table.median(ROW, LATE_MB) / table.median(ROW, EARLY_MB)}


def whole_events(done: int) -> int:
    """Return how many of the first `done` events are whole ones: the first batch, and a share of the rest."""
    return BATCH + (done - BATCH) // WHOLE_OF


def _grow(rig: Rig, span: Span, *, say: Callable[[str], None]) -> dict[str, float]:
    ours = Ours()
    ours.reset(rig)
    workers = ours.start(rig, processes=1)
    looks: dict[int, float] = {}
    begun = time.monotonic()
    try:
        for done in _settled(rig, workers, span):
            if done % (50 * BATCH) == 0:
                say(f"{NAME}: {done:,} events, {_rss_mb(workers[0]):.1f} MB")
            if done in {span.early_events, span.late_events}:
                looks[done] = _median_rss_mb(workers[0])
        seconds = time.monotonic() - begun
        check_books(rig, events=whole_events(span.late_events))
    finally:
        kill(workers)
    return {
        EARLY_MB: looks[span.early_events],
        LATE_MB: looks[span.late_events],
        "early_events": span.early_events,
        "late_events": span.late_events,
        "whole_events": whole_events(span.late_events),
        "events_per_second": span.late_events / seconds,
    }


def _settled(rig: Rig, workers: list[ManagedProcess], span: Span) -> Iterator[int]:
    """Put batches onto the queue, each when the last one is nearly done; yield how many are done."""
    entries = _whole(rig, 1, BATCH)
    queues.push(rig.redis_url, entries)
    repeats = itertools.cycle(entries)
    wait_for(lambda: rig.books().answered >= BATCH, workers, what="the first events are answered")
    yield BATCH
    for done in range(BATCH, span.late_events, BATCH):
        share = BATCH // WHOLE_OF
        whole = _whole(rig, 1 + whole_events(done), share)
        mixed = [next(repeats) if number % WHOLE_OF else whole[number // WHOLE_OF] for number in range(BATCH)]
        queues.push(rig.redis_url, mixed)
        wait_for(
            lambda: queues.length(rig.redis_url, QUEUE) <= BATCH // 10,
            workers,
            what=f"{done + BATCH} events are done",
        )
        yield done + BATCH


def _whole(rig: Rig, first_cashback_id: int, count: int) -> list[bytes]:
    messages = queues.received_now(rig.tokens(count, first_cashback_id=first_cashback_id))
    queues.record_receipts(rig.database_url, messages, first_cashback_id=first_cashback_id)
    return list(queues.receiver_entries(messages))


def _median_rss_mb(worker: ManagedProcess) -> float:
    looks = []
    for _ in range(_LOOKS):
        looks.append(_rss_mb(worker))
        time.sleep(_LOOK_SECONDS)
    return statistics.median(looks)


def _rss_mb(worker: ManagedProcess) -> float:
    return float(psutil.Process(worker.pid).memory_info().rss) / _MB
