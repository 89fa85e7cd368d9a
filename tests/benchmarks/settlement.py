"""Events settled per second from a filled queue, by one worker process and by two, task events on for Celery.

- **ours**: the Procfile's worker command with default settings. The queue is filled as the receiver fills it:
  a receipt in PostgreSQL and its envelope in Redis for each event.
- **ceiling**: what the engine can do at most: an empty Celery task, with the worker's own Celery
  configuration and command (the same pool, prefetch, late acknowledgement and task events), on a queue of its
  own with messages of the same size. It logs nothing; our worker writes its log.
- **textbook**: what the guides of Celery, SQLAlchemy and httpx put together show (peers/textbook.py): a
  late-acknowledged task with `autoretry_for`, an ORM session, a new httpx client for each call. It verifies
  nothing, and has no receipts, no deadline and no cut-off.
- **dramatiq**, **taskiq**, **arq**: the same job as ours on other engines (peers/job.py): our verifier, our
  ledger function with the same receipts present, our accept body, one kept-alive httpx client, and the mark
  at the job's end; retries, late acknowledgement and process counts as the engine has them.

One process is one worker as the engine counts them: for prefork the command with all of its children, which
may use both cores. In the full form the peers' settings (threads or coroutines, how many at once, which of
the engine's brokers) are first tried with one process each, and the best is measured; the row's name says
which that was. A quick run takes what was best before.

Every sample has its own empty books and queue, and its workers have settled some hundred events before it.
The queue is filled while they stand still. The clock runs from the first accept that BETCORE acknowledges to
the last (for the ceiling: from the first task done to the last), and afterwards the books must hold exactly
one balanced transaction for each event, marked as answered. CPU is that of the whole sample by process;
memory is the peak of the worker with its children.

The ratios are those of the medians, with one process or with two, whichever is less in our favour.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from tests.benchmarks.errors import PeerMissing
from tests.benchmarks.measure import Table, interleave
from tests.benchmarks.peers.contender import FULL, QUICK, TRIAL, Contender, sample
from tests.benchmarks.peers.engines import ENGINES, Engine
from tests.benchmarks.peers.ours import Ceiling, Ours
from tests.benchmarks.peers.textbook_row import SETTINGS, Textbook
from tests.benchmarks.rig import Rig

NAME: Final = "settlement"
RATE: Final = "events_per_second"
PROCESSES: Final = (1, 2)
OURS: Final = "ours"
CEILING: Final = "ceiling"
TEXTBOOK: Final = "textbook"
# A contender's key and its number of processes.
Place: TypeAlias = tuple[str, int]


def measure(
    rig: Rig, *, rounds: int, quick: bool, say: Callable[[str], None]
) -> tuple[Table, dict[str, float]]:
    """Measure all rows; returns the table and its ratios. Raises BenchmarkFailed where work was not done."""
    # Or it would be found missing after all the others have run.
    if not Path(rig.arq_python).exists():
        raise PeerMissing(f"there is no {rig.arq_python}")
    contenders: dict[Place, Contender] = {}
    for processes in PROCESSES:
        contenders |= {(OURS, processes): Ours(), (CEILING, processes): Ceiling()}
        for key, peer in _peers().items():
            contenders[key, processes] = peer if quick else _best(rig, peer, processes, say=say)
    form = QUICK if quick else FULL
    names = {place: row_name(contender.name, place[1]) for place, contender in contenders.items()}
    rows = {
        names[place]: partial(sample, rig, contender, processes=place[1], form=form)
        for place, contender in contenders.items()
    }
    table = interleave(NAME, "Settlement from a filled queue", "event", rows, rounds=rounds, say=say)
    return table, ratios(table, names)


def ratios(table: Table, names: Mapping[Place, str]) -> dict[str, float]:
    """Return this table's ratios. `names` gives the row of each contender with each number of processes."""

    def rate(key: str, processes: int) -> float:
        return table.median(names[key, processes], RATE)

    def least(of: Callable[[int], float]) -> float:
        return min(rate(OURS, processes) / of(processes) for processes in PROCESSES)

    return {
        "settlement_vs_ceiling": least(partial(rate, CEILING)),
        "settlement_vs_textbook": least(partial(rate, TEXTBOOK)),
        "settlement_vs_best_peer": least(
            lambda processes: max(rate(engine, processes) for engine in ENGINES)
        ),
    }


def row_name(name: str, processes: int) -> str:
    """Return the name of a contender's row."""
    return f"{name}, {processes} process{'es' if processes > 1 else ''}"


def _peers() -> dict[str, Engine | Textbook]:
    engines = {engine: Engine(engine=engine, setting=settings[0]) for engine, settings in ENGINES.items()}
    return {TEXTBOOK: Textbook(setting=SETTINGS[0]), **engines}


def _best(rig: Rig, peer: Engine | Textbook, processes: int, *, say: Callable[[str], None]) -> Contender:
    settings = SETTINGS if isinstance(peer, Textbook) else ENGINES[peer.engine]
    rates: dict[float, Contender] = {}
    for setting in settings:
        tried = peer.at(setting)
        rate = sample(rig, tried, processes=processes, form=TRIAL)[RATE]
        say(f"{NAME} trial, {row_name(tried.name, processes)}: {rate:,.0f} events/s")
        rates[rate] = tried
    return rates[max(rates)]
