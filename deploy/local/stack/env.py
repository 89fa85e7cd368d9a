"""`python -m deploy.local env`: what a shell needs to work with the stack that is up."""

import sys
from pathlib import Path

import click

from deploy.local.stack.record import NothingIsUp, read_record


@click.command()
@click.option(
    "--directory", type=click.Path(path_type=Path, file_okay=False), default=Path("var"), show_default=True
)
def env(*, directory: Path) -> None:
    """Print what points `cashback` to what is up: eval "$(make env)"."""
    try:
        click.echo(read_record(directory).shell())
    except NothingIsUp as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
