"""The `--reason` option: why a person acts, for the audit."""

from collections.abc import Callable
from typing import Any, Final

import click

MAX_REASON_CHARS: Final = 500


def reason_option(name: str = "--reason", *, required: bool = True) -> Callable[[Any], Any]:
    """Return an option that takes why a person acts, in words that the audit can keep."""
    return click.option(
        name,
        required=required,
        callback=_reason,
        help=f"Why, for the audit: a ticket, or a sentence of at most {MAX_REASON_CHARS} characters.",
    )


def _reason(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    return printable(value, MAX_REASON_CHARS)


def printable(value: str, max_chars: int) -> str:
    """Return the text without what stands around it; raises click.BadParameter where it cannot be shown."""
    text = value.strip()
    if not 1 <= len(text) <= max_chars or not text.isprintable():
        raise click.BadParameter(f"must be 1 to {max_chars} characters that can be printed")
    return text
