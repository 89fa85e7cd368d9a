"""`cashback --version`: of the program, and of the database's schema that it works on."""

from importlib import metadata
from typing import Final

import click

_DISTRIBUTION: Final = "cashback-worker"


def _print(context: click.Context, _parameter: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
    if not value or context.resilient_parsing:
        return
    from worker.schema.files import shipped_files

    files = shipped_files()
    click.echo(f"cashback {_program()} (schema {files.version}, functions {files.functions_version})")
    context.exit()


def _program() -> str:
    try:
        return metadata.version(_DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "of an unknown version"


version_option = click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print,
    help="Say which version this is, of the program and of the database's schema.",
)
