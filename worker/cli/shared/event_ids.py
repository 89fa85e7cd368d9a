"""Event ids from a file: one a line."""

from typing import TextIO
from uuid import UUID

import click

_MAX_CHARS_SHOWN = 60


def event_ids_in(file: TextIO) -> tuple[UUID, ...]:
    """Return the ids in a file, without empty lines; a line that is none is a wrong use."""
    ids = []
    try:
        for number, line in enumerate(file, start=1):
            if not (text := line.strip()):
                continue
            try:
                ids.append(UUID(text))
            except ValueError:
                raise click.UsageError(
                    f"{file.name}, line {number}: {text[:_MAX_CHARS_SHOWN]!a} is no event id"
                ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file.name} cannot be read: {error}") from error
    return tuple(ids)
