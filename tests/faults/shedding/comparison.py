"""The same scenarios with and without load shedding, side by side.

To refuse a make is right only where it helps: where the same run answers no more of them in time when nothing
is refused.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.faults.suite import BASELINE, REPORT_NAME, SuiteOptions

COMPARISON_NAME: Final = "shedding.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One scenario, all its runs together: makes that were answered 503, and events answered in time."""

    name: str
    refused: int = 0
    in_time: int = 0
    refused_without: int = 0
    in_time_without: int = 0

    @property
    def is_right(self) -> bool:
        """Whether nothing was refused, or nothing gained by refusing nothing."""
        return self.refused == 0 or self.in_time >= self.in_time_without


def compare_shedding(options: SuiteOptions, *, run: Callable[..., bool], console: Console) -> bool:
    """Run the scenarios with shedding and again without; return whether what was refused helped.

    `run` takes SuiteOptions and a `console`, and writes a report. Raises LocalError where it cannot be run.
    """
    scenarios = [name for name in options.scenarios if name != BASELINE]
    reports = []
    for directory, sheds in (("with", True), ("without", False)):
        console.print(f"{directory} shedding")
        own = replace(options, directory=options.directory / directory, scenarios=scenarios, sheds=sheds)
        run(own, console=console)
        reports.append(json.loads((own.directory / REPORT_NAME).read_text("utf-8")))
    rows = side_by_side(scenarios, *(list(report["scenarios"].values()) for report in reports))
    path = options.directory / COMPARISON_NAME
    path.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", "utf-8")
    _show(console, rows, path=path)
    return all(row.is_right for row in rows)


def side_by_side(
    scenarios: Sequence[str],
    outcomes: Sequence[Mapping[str, Any]],
    outcomes_without: Sequence[Mapping[str, Any]],
) -> list[Compared]:
    """Add up the runs of each scenario, which are in the same order in both. Pure."""
    rows = {name: Compared(name=name) for name in scenarios}
    for name, outcome, without in zip(scenarios, outcomes, outcomes_without, strict=True):
        row = rows[name]
        rows[name] = replace(
            row,
            refused=row.refused + _refused(outcome),
            in_time=row.in_time + outcome["answered_in_time"],
            refused_without=row.refused_without + _refused(without),
            in_time_without=row.in_time_without + without["answered_in_time"],
        )
    return list(rows.values())


def _refused(outcome: Mapping[str, Any]) -> int:
    return int(outcome["figures"].get("refused", 0))


def _show(console: Console, rows: Sequence[Compared], *, path: Path) -> None:
    table = Table("scenario", "refused", "in time", "refused without shedding", "in time without", "")
    for row in rows:
        counts = (row.refused, row.in_time, row.refused_without, row.in_time_without)
        verdict = Text("right", "green") if row.is_right else Text("REFUSED IN VAIN", "bold red")
        table.add_row(row.name, *map(str, counts), verdict)
    console.print(table)
    console.print(f"Comparison: {path}", soft_wrap=True)
