"""What every table is made of: samples in interleaved rounds, their medians and spread, their cost."""

import math
import statistics
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import psutil  # type: ignore[import-untyped]  # ships no type information

# A look at the families of processes costs some milliseconds on a machine with hundreds of processes.
_LOOK_SECONDS: Final = 2.0
_MB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One measurement of one row, in one round; a value's unit is part of its name."""

    row: str
    round: int
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """All samples of one table. `unit` says what one event of its rows is, in words."""

    name: str
    title: str
    unit: str
    samples: tuple[Sample, ...]

    def rows(self) -> tuple[str, ...]:
        """Return the names of the rows, in the order in which they were given."""
        first = min((sample.round for sample in self.samples), default=0)
        given = [sample.row for sample in self.samples if sample.round == first]
        return tuple(dict.fromkeys(given + [sample.row for sample in self.samples]))

    def values(self, row: str) -> tuple[str, ...]:
        """Return the names of a row's values, in the order in which they were measured."""
        return tuple(dict.fromkeys(name for sample in self._of(row) for name in sample.values))

    def median(self, row: str, value: str) -> float:
        """Return the median over the rounds; raises KeyError where the row or the value was not measured."""
        return statistics.median(self._numbers(row, value))

    def spread(self, row: str, value: str) -> tuple[float, float]:
        """Return the least and the greatest; raises KeyError as `median` does."""
        numbers = self._numbers(row, value)
        return min(numbers), max(numbers)

    def _of(self, row: str) -> list[Sample]:
        return [sample for sample in self.samples if sample.row == row]

    def _numbers(self, row: str, value: str) -> list[float]:
        numbers = [sample.values[value] for sample in self._of(row) if value in sample.values]
        if not numbers:
            raise KeyError(f"{self.name}: {row} has no {value}")
        return numbers


def interleave(  # noqa: PLR0913 -- a table's three names, its rows, and how to measure them
    name: str,
    title: str,
    unit: str,
    rows: Mapping[str, Callable[[], Mapping[str, float]]],
    *,
    rounds: int,
    say: Callable[[str], None],
) -> Table:
    """Measure all rows once, then all again, `rounds` times, so that a slow minute of the machine hits all.

    Each round begins with another row: none always finds the machine as the same other one left it.
    """
    names = list(rows)
    samples = []
    for number in range(rounds):
        shift = number % max(1, len(names))
        for row in names[shift:] + names[:shift]:
            values = dict(rows[row]())
            samples.append(Sample(row=row, round=number, values=values))
            shown = ", ".join(f"{key} {value:,.4g}" for key, value in values.items())
            say(f"{name} round {number + 1}/{rounds}, {row}: {shown}")
    return Table(name=name, title=title, unit=unit, samples=tuple(samples))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the least value that is not exceeded by this share of all (nearest rank); needs one value."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


class Usage:
    """CPU time and peak memory of named processes, children included, from entering to leaving the block.

    CPU time is exact, children that end in the block included. Memory is looked at every two seconds and at
    the end: the private part of each member of a family, and the largest shared part once.
    """

    def __init__(self, pids: Mapping[str, int | Sequence[int]]) -> None:
        self.cpu_seconds: dict[str, float] = {}
        self.peak_rss_mb: dict[str, float] = dict.fromkeys(pids, 0.0)
        self._leaders = {
            name: [psutil.Process(pid) for pid in ([given] if isinstance(given, int) else given)]
            for name, given in pids.items()
        }
        self._before: dict[str, float] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="usage", daemon=True)

    def __enter__(self) -> Self:
        self._look()
        self._before = self._cpu_so_far()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for name, seconds in self._cpu_so_far().items():
            self.cpu_seconds[name] = max(0.0, seconds - self._before[name])
        self._stopping.set()
        self._thread.join()
        self._look()

    def _cpu_so_far(self) -> dict[str, float]:
        return {name: _cpu_seconds(family) for name, family in families(self._leaders).items()}

    def _watch(self) -> None:
        while not self._stopping.wait(_LOOK_SECONDS):
            self._look()

    def _look(self) -> None:
        for name, family in families(self._leaders).items():
            self.peak_rss_mb[name] = max(self.peak_rss_mb[name], _rss_mb(family))


def families(leaders: Mapping[str, Sequence[psutil.Process]]) -> dict[str, list[psutil.Process]]:
    """Return named processes with all that descend from them: one pass over the machine for all."""
    children: defaultdict[int, list[psutil.Process]] = defaultdict(list)
    for process in psutil.process_iter(["ppid"]):
        children[process.info["ppid"]].append(process)
    families: dict[str, list[psutil.Process]] = {}
    for name, first in leaders.items():
        families[name] = list(first)
        for member in families[name]:  # grows while it is walked
            families[name] += children[member.pid]
    return families


def _cpu_seconds(family: Sequence[psutil.Process]) -> float:
    total = 0.0
    for member in family:
        try:
            times = member.cpu_times()
        except psutil.NoSuchProcess:
            # Its parent has its time by now, among that of its ended children.
            continue
        # macOS does not count the children that have ended.
        total += times.user + times.system
        total += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return total


def _rss_mb(family: Sequence[psutil.Process]) -> float:
    private, shared = 0, 0
    for member in family:
        try:
            memory = member.memory_info()
        except psutil.NoSuchProcess:
            continue
        common = getattr(memory, "shared", 0)
        private += memory.rss - common
        shared = max(shared, common)
    return (private + shared) / _MB
