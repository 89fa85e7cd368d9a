"""`python -m deploy.local demo`."""

import os
import sys
from pathlib import Path

import click
from rich.console import Console

from deploy.local.demo.run import DEFAULT_DIRECTORY, DEFAULT_SEED, DemoOptions, run_demo
from deploy.local.stack.up import Stopped, fail, stopped_by_signals
from deploy.local.steps import FORESEEN


@click.command()
@click.option("--seed", type=click.IntRange(min=0), default=DEFAULT_SEED, show_default=True)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_DIRECTORY,
    show_default=True,
    help="Data, logs and report.json; what the last demo left there is removed.",
)
def demo(*, seed: int, workers: int, directory: Path) -> None:
    """Run everything, send 300 makes of every kind, and check the invariants from outside."""
    options = DemoOptions(environ=dict(os.environ), directory=directory, seed=seed, workers=workers)
    try:
        with stopped_by_signals():
            is_good = run_demo(options, console=Console())
    except Stopped:
        click.echo("Stopped.")
        sys.exit(130)
    except FORESEEN as error:
        fail(error, directory)
    if not is_good:
        sys.exit(1)
