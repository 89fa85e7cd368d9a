"""How `cashback doctor` tells what it found: by part, the worst first, at 80 columns."""

import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final

import click

from worker.cli.printing.output import printable
from worker.doctor.finding import ORDER, Finding, Level

_WIDTH_CHARS: Final = 80
_LABEL_CHARS: Final = 13
_COLOURS: Final = {
    Level.FAULT: "red",
    Level.ADVICE: "yellow",
    Level.UNCHECKED: "bright_black",
    Level.GOOD: "green",
}


def print_findings(findings: Sequence[Finding]) -> None:
    """Print each part with what was found in it, and then how many of each there were."""
    for part in dict.fromkeys(finding.part for finding in findings):
        click.secho(part, bold=True)
        for finding in sorted(_of(findings, part), key=lambda each: ORDER.index(each.level)):
            _print_finding(finding)
    counts = {level: sum(each.level is level for each in findings) for level in ORDER}
    click.echo(", ".join(f"{counts[level]} {level}" for level in ORDER))


def worst(findings: Sequence[Finding]) -> Level:
    """Return how it stands as a whole."""
    return min((finding.level for finding in findings), key=ORDER.index, default=Level.GOOD)


def _of(findings: Sequence[Finding], part: str) -> list[Finding]:
    return [finding for finding in findings if finding.part == part]


def _print_finding(finding: Finding) -> None:
    first, *others = _wrapped(finding.what)
    label = f"  {finding.level:<{_LABEL_CHARS - 2}}"
    click.echo(click.style(label, fg=_COLOURS[finding.level]) + first)
    for line in others:
        click.echo(" " * _LABEL_CHARS + line)
    if finding.what_to_do is not None:
        for line in _wrapped(f"-> {finding.what_to_do}"):
            click.echo(" " * _LABEL_CHARS + line)


def _wrapped(text: str) -> list[str]:
    # What is longer than a line, a list's name or an id, is not cut: it is to be copied.
    return textwrap.wrap(
        printable(text), _WIDTH_CHARS - _LABEL_CHARS, break_long_words=False, break_on_hyphens=False
    ) or [""]


def document_of(findings: Sequence[Finding]) -> dict[str, object]:
    """Return it as one JSON object."""
    return {
        "verdict": worst(findings).value,
        "checked_at": datetime.now(UTC),
        "version": version("cashback-worker"),
        "findings": [
            {
                "part": each.part,
                "name": each.name,
                "verdict": each.level.value,
                "what": each.what,
                "what_to_do": each.what_to_do,
            }
            for each in findings
        ],
    }
