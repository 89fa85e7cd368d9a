"""`python -m tests.faults`: the fault suite."""

import secrets
import sys
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from deploy.local.errors import LocalError
from deploy.local.stack import LOG_DIRECTORY
from deploy.local.up import Stopped, stopped_by_signals
from tests.faults.catalogue import SCENARIOS
from tests.faults.scene import LONG, SHORT
from tests.faults.suite import BASELINE, SuiteOptions, run_suite

_MAX_SEED: Final = 2**31
_TABLE_COLUMNS: Final = 200


@click.group()
def main() -> None:
    """Break everything that can break, one at a time, and check the invariants from outside."""


@main.command()
@click.option("--seed", type=click.IntRange(min=0), default=None, help="Replays a run; default: a new one.")
@click.option(
    "--scenario", "scenarios", type=click.Choice([*SCENARIOS, BASELINE]), multiple=True, help="Default: all."
)
@click.option("--short/--long", "short", default=True, show_default=True)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("var/faults"),
    show_default=True,
    help="Data, logs and report.json; what the last run left there is removed.",
)
def run(*, seed: int | None, scenarios: tuple[str, ...], short: bool, directory: Path) -> None:
    """Run scenarios; ends with 1 when one of them shows a broken invariant or proves nothing."""
    seed = secrets.randbelow(_MAX_SEED) if seed is None else seed
    click.echo(f"seed {seed}")
    everything = tuple(SCENARIOS) if short else (*SCENARIOS, BASELINE)
    options = SuiteOptions(
        directory=directory, seed=seed, form=SHORT if short else LONG, scenarios=scenarios or everything
    )
    console = Console(width=None if sys.stdout.isatty() else _TABLE_COLUMNS)
    try:
        with stopped_by_signals():
            is_good = run_suite(options, console=console)
    except Stopped:
        click.echo("Stopped.")
        sys.exit(130)
    except LocalError as error:
        click.echo(f"Error: {error}", err=True)
        is_good = False
    if not is_good:
        click.echo(f"The log of each process is in {directory / LOG_DIRECTORY}", err=True)
        sys.exit(1)


@main.command(name="list")
def list_scenarios() -> None:
    """Say which scenarios there are."""
    for name, scenario in SCENARIOS.items():
        click.echo(f"{name:<22} {(scenario.__doc__ or '').splitlines()[0]}")


if __name__ == "__main__":
    main()
