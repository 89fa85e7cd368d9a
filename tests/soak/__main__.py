"""`python -m tests.soak`: hours of load with an ill BETCORE, and what grows meanwhile."""

import json
import secrets
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from deploy.local.stack import LOG_DIRECTORY
from deploy.local.stack.up import Stopped, fail, stopped_by_signals
from deploy.local.steps import FORESEEN
from tests.soak.errors import TooShort
from tests.soak.plots import draw
from tests.soak.report import build_report, show
from tests.soak.run import SAMPLES_NAME, SoakOptions, soak
from tests.soak.sampler import read_samples
from tests.soak.slope import LEAST_POINTS
from tests.soak.verdict import Span, judge_all

REPORT_NAME: Final = "report.json"
PLOT_NAME: Final = "soak.png"
_MAX_SEED: Final = 2**31
_TABLE_COLUMNS: Final = 160


_directory = click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("var/soak"),
    show_default=True,
    help="Data, logs, samples, picture and report.json; a run removes what the last one left there.",
)


@click.group()
def main() -> None:
    """Run everything under load for long, with a BETCORE that is ill by turns, and see what grows."""


@main.command(name="run")
@click.option("--minutes", type=click.FloatRange(min=1), default=60.0, show_default=True)
@click.option(
    "--rate", type=click.FloatRange(min=1, max=500), default=60.0, show_default=True, help="Makes a second."
)
@click.option(
    "--cycle-seconds",
    type=click.FloatRange(min=10),
    default=60.0,
    show_default=True,
    help="How long BETCORE takes through all its well and ill phases; a point of each series.",
)
@click.option("--sample-seconds", type=click.FloatRange(min=0.5), default=5.0, show_default=True)
@click.option(
    "--warm-up-share",
    type=click.FloatRange(min=0, max=0.9),
    default=0.25,
    show_default=True,
    help="Share of the time that no slope sees.",
)
@click.option("--seed", type=click.IntRange(min=0), default=None, help="Draws the same load again.")
@_directory
def run_command(*, directory: Path, rate: float, seed: int | None, **options: float) -> None:
    """Run it; ends with 1 where something grows or an invariant is broken."""
    seed = secrets.randbelow(_MAX_SEED) if seed is None else seed
    click.echo(f"seed {seed}")
    asked = SoakOptions(directory=directory, rate_per_second=rate, seed=seed, **options)
    try:
        require_cycles(asked)
        with stopped_by_signals():
            outcome = soak(asked, say=click.echo)
    except Stopped:
        click.echo("Stopped.")
        sys.exit(130)
    except FORESEEN as error:
        fail(error, directory)
    told = {**asdict(asked), "directory": str(directory)}
    judge_samples(directory, span=asked.span, outcome=outcome.as_json(), asked=told)


@main.command(name="judge")
@_directory
def judge_command(*, directory: Path) -> None:
    """Judge the samples of the last run again, by the rules as they are now; ends as that run did."""
    try:
        last = json.loads((directory / REPORT_NAME).read_text("utf-8"))
    except OSError as error:
        fail(error, directory)
    span = Span(warm_up_seconds=last["warm_up_seconds"], cycle_seconds=last["cycle_seconds"])
    judge_samples(directory, span=span, outcome=last["outcome"], asked=last["asked"])


def judge_samples(
    directory: Path, *, span: Span, outcome: Mapping[str, Any], asked: Mapping[str, Any]
) -> None:
    """Judge the samples in a directory, write report and picture, print them; ends with 1 where not good."""
    findings = judge_all(read_samples(directory / SAMPLES_NAME), span)
    report = build_report(outcome=outcome, findings=findings, span=span, asked=asked)
    path = directory / REPORT_NAME
    path.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    draw(findings, span, directory / PLOT_NAME)
    console = Console(width=None if sys.stdout.isatty() else _TABLE_COLUMNS)
    show(console, report, findings)
    console.print(f"Report: {path}", soft_wrap=True)
    if not report["ok"]:
        click.echo(f"The log of each process is in {directory / LOG_DIRECTORY}", err=True)
        sys.exit(1)


def require_cycles(options: SoakOptions) -> None:
    """Raise TooShort where too few cycles are left after the warm-up to judge anything."""
    left = options.cycles * (1 - options.warm_up_share)
    if left < LEAST_POINTS:
        raise TooShort(
            f"{options.minutes:g} minutes have {left:.1f} cycles of {options.cycle_seconds:g} s after the"
            f" warm-up, and {LEAST_POINTS} are needed to judge growth: give more --minutes or fewer"
            " --cycle-seconds"
        )


if __name__ == "__main__":
    main()
