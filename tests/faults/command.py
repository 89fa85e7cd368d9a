"""What the commands of the fault suites share: options, how a run ends, and the list of scenarios."""

import secrets
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from rich.console import Console

from deploy.local.errors import LocalError
from deploy.local.stack import LOG_DIRECTORY
from deploy.local.stack.up import Stopped, stopped_by_signals

_MAX_SEED: Final = 2**31
_TABLE_COLUMNS: Final = 200

Command = TypeVar("Command", bound=Callable[..., Any])

seed_option = click.option(
    "--seed", type=click.IntRange(min=0), default=None, help="Replays a run; default: a new one."
)
form_option = click.option("--short/--long", "short", default=True, show_default=True)
shedding_option = click.option(
    "--compare-shedding",
    is_flag=True,
    help="Run all twice, the second time without load shedding, and put what was refused side by side.",
)


def directory_option(default: str) -> Callable[[Command], Command]:
    """Return the option that says where data, logs and the report go."""
    return click.option(
        "--directory",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path(default),
        show_default=True,
        help="Data, logs and report.json; what the last run left there is removed.",
    )


def said_seed(seed: int | None) -> int:
    """Return the seed that was given, or a new one, and say it."""
    chosen = secrets.randbelow(_MAX_SEED) if seed is None else seed
    click.echo(f"seed {chosen}")
    return chosen


def run_and_exit(suite: Callable[[Console], bool], *, directory: Path) -> None:
    """Run a suite; exit with 1 where it is not good or cannot be run, and with 130 where it was stopped."""
    console = Console(width=None if sys.stdout.isatty() else _TABLE_COLUMNS)
    try:
        with stopped_by_signals():
            is_good = suite(console)
    except Stopped:
        click.echo("Stopped.")
        sys.exit(130)
    except LocalError as error:
        click.echo(f"Error: {error}", err=True)
        is_good = False
    if not is_good:
        click.echo(f"The log of each process is in {directory / LOG_DIRECTORY}", err=True)
        sys.exit(1)


def list_of(scenarios: Mapping[str, Callable[..., None]]) -> None:
    """Say which scenarios there are."""
    for name, scenario in scenarios.items():
        click.echo(f"{name:<26} {(scenario.__doc__ or '').splitlines()[0]}")
