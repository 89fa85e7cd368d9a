"""What an event costs when others wait, when the ledger is large, and when one account takes half of all.

All rows are our worker, one process of the Procfile's command, a window of events after a warm-up as in the
settlement table; what grows is all that differs. The only setting that is not the default is
`CASHBACK_DEADLINE_SECONDS` = 600, in every row: putting 100,000 events into the queue takes seconds, and by
default the receiver would have refused most of them, as they could not be settled in time.

- **empty**: nothing waits behind the events, and the ledger has only this sample's own transactions.
- **N waiting**: N more events wait behind them, each with its receipt and its envelope of the same size.
  Their signatures are not BETCORE's (nobody comes to read them).
- **ledger of N**: the ledger holds N balanced payouts before it begins, spread over all accounts, each with
  its receipt, answered, but without its token: the tokens lie in a table that nobody looks into here. They
  are written by bulk statements with the triggers off, checked, vacuumed and analysed, and copied for each
  sample. 10,000,000 take some minutes to write and, with their copy, 30 GB of disk.
- **half to one account**: every other event is for the same user, whose row all of them lock.

The cost is CPU milliseconds per event, summed over all processes, and elapsed milliseconds per event. The
ratios are deepest or largest ÷ empty, of the one of the two that grew more.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from tests.benchmarks.errors import BenchmarkFailed
from tests.benchmarks.measure import Table, interleave
from tests.benchmarks.peers import history, queues
from tests.benchmarks.peers.contender import FULL, QUICK, Supply, sample, wait_for
from tests.benchmarks.peers.ours import Ours
from tests.benchmarks.rig import TEMPLATE, Rig
from tests.benchmarks.tokens import FAVOURITE

NAME: Final = "growth"
CPU: Final = "cpu_ms_per_event"
ELAPSED: Final = "ms_per_event"
EMPTY: Final = "empty"
_DEADLINE_SECONDS: Final = 600
_SETTINGS: Final = (("CASHBACK_DEADLINE_SECONDS", str(_DEADLINE_SECONDS)),)
# Above all that is in a ledger beforehand: ids grow, in BETCORE's as in any other books.
_FIRST_CASHBACK_ID: Final = 20_000_001
_TO_ALL: Final = Supply(first_cashback_id=_FIRST_CASHBACK_ID)
_HALF_TO_ONE: Final = Supply(first_cashback_id=_FIRST_CASHBACK_ID, crowd=FAVOURITE)
_BACKLOGS: Final = (10_000, 100_000)
_LEDGERS: Final = (10_000, 1_000_000, 10_000_000)
_QUICK_LEDGERS: Final = (10_000, 100_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown(Ours):
    """Our worker on a ledger with `before` transactions, and `waiting` events behind those measured."""

    name: str = "ours"
    settings: tuple[tuple[str, str], ...] = _SETTINGS
    deadline_seconds: float = _DEADLINE_SECONDS
    before: int = 0
    waiting: int = 0

    def reset(self, rig: Rig) -> None:
        """Empty all but the ledger's history."""
        rig.reset(template=history.template(self.before) if self.before else TEMPLATE)

    def check(self, rig: Rig, *, events: int) -> None:
        """Look at the ledger and the receipts, the history included."""
        total = self.before + events
        wait_for(lambda: rig.books().answered >= total, (), what=f"{total} events are answered")
        books = rig.books()
        if (books.receipts, books.answered) != (total + self.waiting, total):
            raise BenchmarkFailed(f"{events} events after {self.before}, {self.waiting} waiting: {books}")
        if (books.transactions, books.entries) != (total, 2 * total):
            raise BenchmarkFailed(f"{events} events after {self.before}: {books}")


def measure(
    rig: Rig, *, rounds: int, quick: bool, say: Callable[[str], None]
) -> tuple[Table, dict[str, float]]:
    """Measure all rows; returns the table and its ratios. Raises BenchmarkFailed where work was not done."""
    ledgers = _QUICK_LEDGERS if quick else _LEDGERS
    for size in ledgers:
        say(f"{NAME}: writing a ledger of {size:,} transactions")
        history.make_template(rig, size)
    rows = {EMPTY: partial(_sample, rig, Grown(), quick=quick)}
    rows |= {waiting_row(n): partial(_sample, rig, Grown(waiting=n), quick=quick) for n in _BACKLOGS}
    rows |= {ledger_row(n): partial(_sample, rig, Grown(before=n), quick=quick) for n in ledgers}
    rows["half to one account"] = partial(_sample, rig, Grown(), quick=quick, supply=_HALF_TO_ONE)
    table = interleave(NAME, title_of(max(ledgers)), "event", rows, rounds=rounds, say=say)
    return table, {
        "growth_backlog": growth(table, waiting_row(max(_BACKLOGS))),
        "growth_ledger": growth(table, ledger_row(max(ledgers))),
    }


def growth(table: Table, row: str) -> float:
    """Return the cost of an event of `row` ÷ that of an empty row, in CPU or elapsed time: the worse."""
    return max(table.median(row, value) / table.median(EMPTY, value) for value in (CPU, ELAPSED))


def title_of(largest_ledger: int) -> str:
    """Return the table's title, which says what a quick run left out."""
    left_out = "" if largest_ledger == max(_LEDGERS) else f" ({max(_LEDGERS):,} transactions were not run)"
    return f"Growth: the cost of one event{left_out}"


def waiting_row(events: int) -> str:
    """Return the name of a row with events behind the measured ones."""
    return f"{events:,} waiting"


def ledger_row(transactions: int) -> str:
    """Return the name of a row with a history in the ledger."""
    return f"ledger of {transactions:,}"


def _sample(
    rig: Rig,
    ours: Grown,
    *,
    quick: bool,
    supply: Supply = _TO_ALL,
) -> dict[str, float]:
    behind = partial(
        queues.put_behind, events=ours.waiting, like=_model(rig, supply), deadline_seconds=_DEADLINE_SECONDS
    )
    values = sample(rig, ours, processes=1, form=QUICK if quick else FULL, supply=supply, behind=behind)
    return {ELAPSED: 1000 / values["events_per_second"], **values}


def _model(rig: Rig, supply: Supply) -> str:
    return rig.tokens(1, first_cashback_id=supply.first_cashback_id, crowd=supply.crowd)[0]
