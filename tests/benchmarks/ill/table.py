"""What an ill BETCORE costs: credits, answers, memory, calls of its Token endpoint, and a retry.

The whole path with the product's own times: the Procfile's receiver and worker with default settings, 60
makes/s where the row says no other rate. BETCORE is well for some seconds and falls ill; what is counted are
the makes from then on. ill/betcore.py is as ill as it is told to be, and notes who came when.

- **accept hangs**, **token hangs**: accepts are taken and never answered, or no access token is good and the
  Token endpoint answers nobody; for 40 s, then all is well, and makes go on for 8 s.
- **3 s for an answer**: each of a minute's accepts is answered after 3 s.
- **fails until 27 s**: a hundred makes; each accept is answered with 500 until 27 s after its event's first.
- **token fails**, **accept 401**: no access token is good and the Token endpoint answers 500 for 20 s; or it
  gives tokens, and each accept with any of them is answered with 401 for 12 s. Two workers.
- **well**, **fails once**: 100 makes/s for 20 s; all accepts are acknowledged, or each event's first one is
  answered with 500 and its second one acknowledged.

*still had time*: events whose deadline lay at least 1.5 s after BETCORE was well again (all of them in rows
where it stays as it is); *answered of them*: those that BETCORE acknowledged in time and the books have as
answered. *refused* makes got 503, *refused in 25 s* in the first 25 s. *credit* is the time from the moment
a make was due to its transaction in the ledger, of those made while BETCORE was ill. *waiting at most* are
accepts without an answer (the worker's own gauge, looked at four times a second); *kb per waiting accept* is
by how much the worker's resident memory was larger at that moment than before, for each of them. *accepts
per event* reached BETCORE. *token calls in a second* is 1 ÷ the shortest time between two.

There must be one transaction for each make that was taken, in books that balance, or the table fails.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from tests.benchmarks.ill import figures
from tests.benchmarks.ill.betcore import Behaviour
from tests.benchmarks.ill.path import Case, run_case
from tests.benchmarks.measure import Table, interleave
from tests.benchmarks.rig import Rig

NAME: Final = "ill"
ACCEPT_HANGS: Final = "accept hangs"
TOKEN_HANGS: Final = "token hangs"
SLOW: Final = "3 s for an answer"
YOUNG: Final = "fails until 27 s"
TOKEN_FAILS: Final = "token fails, 2 workers"
UNAUTHORIZED: Final = "accept 401, 2 workers"
ALL_WELL: Final = "well, 100/s"
FAILS_ONCE: Final = "fails once, 100/s"

_HANG_SECONDS: Final = 40.0
_AFTER_SECONDS: Final = 8.0
_HUNDRED_SECONDS: Final = 2.0

CASES: Final[Mapping[str, Case]] = {
    ACCEPT_HANGS: Case(
        behaviour=Behaviour(accept="hang"),
        ill_seconds=_HANG_SECONDS,
        makes_seconds=_HANG_SECONDS + _AFTER_SECONDS,
    ),
    TOKEN_HANGS: Case(
        behaviour=Behaviour(token="hang", revokes=True),
        ill_seconds=_HANG_SECONDS,
        makes_seconds=_HANG_SECONDS + _AFTER_SECONDS,
    ),
    SLOW: Case(behaviour=Behaviour(accept="slow", seconds=3.0), makes_seconds=60.0),
    YOUNG: Case(behaviour=Behaviour(accept="young", seconds=27.0), makes_seconds=_HUNDRED_SECONDS),
    TOKEN_FAILS: Case(
        behaviour=Behaviour(token="500", revokes=True),
        ill_seconds=20.0,
        makes_seconds=20.0 + _AFTER_SECONDS,
        workers=2,
    ),
    UNAUTHORIZED: Case(
        behaviour=Behaviour(accept="401"), ill_seconds=12.0, makes_seconds=12.0 + _AFTER_SECONDS, workers=2
    ),
    ALL_WELL: Case(behaviour=Behaviour(), makes_seconds=20.0, rate_per_second=100.0),
    FAILS_ONCE: Case(behaviour=Behaviour(accept="once"), makes_seconds=20.0, rate_per_second=100.0),
}
_QUICK_SHARE: Final = 0.2


def measure(
    rig: Rig, *, rounds: int, quick: bool, say: Callable[[str], None]
) -> tuple[Table, dict[str, float]]:
    """Measure all cases; returns the table and its ratios. Raises BenchmarkFailed."""
    rows: dict[str, Callable[[], Mapping[str, float]]] = {
        row: partial(_sample, rig, shortened(case) if quick else case) for row, case in CASES.items()
    }
    table = interleave(NAME, "An ill BETCORE", "event", rows, rounds=rounds, say=say)
    return table, ratios(table)


def shortened(case: Case) -> Case:
    """Return the case in a fifth of its time; what BETCORE does to one event is the same."""
    return replace(
        case,
        ill_seconds=None if case.ill_seconds is None else case.ill_seconds * _QUICK_SHARE,
        makes_seconds=case.makes_seconds * _QUICK_SHARE,
    )


def ratios(table: Table) -> dict[str, float]:
    """Return what is held to a bar: of several rows that are held to the same the worst."""
    hung = (ACCEPT_HANGS, TOKEN_HANGS)
    retried, well = (table.median(row, figures.WORKER_CPU) for row in (FAILS_ONCE, ALL_WELL))
    return {
        "ill_credit_p99_ms": max(table.median(row, figures.CREDIT_P99) for row in hung),
        "ill_refused": max(table.spread(row, figures.REFUSED_EARLY)[1] for row in hung),
        "ill_answered": min(_answered(table, row) for row in (*hung, SLOW)),
        "ill_last_moments": _answered(table, YOUNG),
        "ill_accepts_per_event": table.median(SLOW, figures.ACCEPTS_PER_EVENT),
        "ill_token_calls_per_second": max(
            table.spread(row, figures.TOKEN_CALLS_PER_SECOND)[1] for row in (TOKEN_FAILS, UNAUTHORIZED)
        ),
        "ill_retry_vs_event": (retried - well) / well,
    }


def _answered(table: Table, row: str) -> float:
    """Return the least share that was answered in any round."""
    rounds = [sample.values for sample in table.samples if sample.row == row]
    return min(values[figures.ANSWERED_OF_THEM] / values[figures.STILL_HAD_TIME] for values in rounds)


def _sample(rig: Rig, case: Case) -> dict[str, float]:
    return figures.figures(run_case(rig, case))
