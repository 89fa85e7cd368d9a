"""What a run did: cases of each entry point and tool, and what was found."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.fuzz.generated import Outcome
from tests.fuzz.kept import CASES
from tests.fuzz.parts import TOOLS


@dataclass(frozen=True, slots=True)
class Part:
    """One target with one tool."""

    target: str
    tool: str
    outcome: Outcome


def report_of(parts: list[Part], *, seed: int, seconds: float) -> dict[str, Any]:
    """Return the report of a run, as JSON."""
    targets = list(dict.fromkeys(part.target for part in parts))
    return {
        "seed": seed,
        "seconds": round(seconds),
        "cases": sum(part.outcome.cases for part in parts),
        "found": sum(part.outcome.found is not None for part in parts),
        "targets": {
            target: {
                tool: sum(part.outcome.cases for part in parts if (part.target, part.tool) == (target, tool))
                for tool in TOOLS
            }
            for target in targets
        },
    }


def show(parts: list[Part], report: dict[str, Any], console: Console) -> None:
    """Print the table of a run, and what to do about what was found."""
    table = Table(title=f"Fuzzing with seed {report['seed']}, {report['seconds']} s")
    table.add_column("entry point")
    for column in (*TOOLS, "found"):
        table.add_column(column, justify="right")
    found = {part.target for part in parts if part.outcome.found is not None}
    for target, cases in report["targets"].items():
        table.add_row(target, *(f"{cases[tool]:,}" for tool in TOOLS), "yes" if target in found else "-")
    table.add_section()
    totals = (sum(cases[tool] for cases in report["targets"].values()) for tool in TOOLS)
    table.add_row("all", *(f"{total:,}" for total in totals), str(report["found"]))
    console.print(table)
    for part in parts:
        if part.outcome.found is not None:
            _tell(part, part.outcome.found, console)


def _tell(part: Part, found: Path, console: Console) -> None:
    console.print(part.outcome.error, markup=False, highlight=False)
    console.print(
        f"{part.target} failed on {found}\n"
        f"  see it again:  python -m tests.fuzz replay {part.target} {found}\n"
        f"  make it a test: cp {found} {CASES / part.target}/NAME  (tests/unit/fuzz tries each file there)",
        markup=False,
        highlight=False,
    )
