"""Command lines of `cashback` in help and papers, read as the command reads them; none is run."""

from pathlib import Path
from typing import Final

import click

from worker.cli import cashback

# What stands in the place of an id that a reader has.
_PLACEHOLDERS: Final = {"EVENT_ID": "7d0a4b0e-93c5-8b21-a1f4-5c2f60d1b9e3"}
_FILES: Final = (".csv", ".json", ".toml", ".txt", ".prom")


def parsed(arguments: list[str]) -> str:
    """Read arguments to their end, and return the words of their command. Raises click.UsageError.

    Files that they name are made in the working directory.
    """
    command: click.Command = cashback
    left = [_PLACEHOLDERS.get(argument, argument) for argument in arguments]
    words: list[str] = []
    while isinstance(command, click.Group) and left and not left[0].startswith("-"):
        name, *left = left
        if name not in command.commands:
            raise click.UsageError(f"there is no command {name}")
        words.append(name)
        command = command.commands[name]
    for file in left:
        if file.endswith(_FILES):
            Path(file).touch()
    with command.make_context(words[-1] if words else "cashback", left, resilient_parsing=not words):
        return " ".join(words)
