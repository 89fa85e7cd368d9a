"""What a reconciliation found: a line for each check, then the differences; or as JSON."""

import textwrap
from collections.abc import Iterator
from typing import Final

import click

from worker.cli.printing.output import print_table, printable
from worker.reconciliation.check import Difference, Weight
from worker.reconciliation.reconciling import Finding, Report

_WIDTH_CHARS: Final = 80
_COLOURS: Final = {"wrong": "red", "pending": "yellow", "noted": "cyan", "well": "green"}


def report_document(report: Report) -> dict[str, object]:
    """Return the JSON of `cashback reconcile`; its help describes it."""
    return {
        "since": report.period.since,
        "until": report.period.until,
        "checked_at": report.checked_at,
        "differences": report.differences,
        "pending": report.pending,
        "checks": [
            {
                "check": finding.check.name,
                "what": finding.check.what,
                "weight": finding.check.weight.value,
                "scope": finding.check.scope.value,
                "looked_at": finding.looked_at,
                "differences": finding.differences,
                "pending": finding.pending,
                "shown": [difference_document(difference) for difference in finding.shown],
            }
            for finding in report.findings
        ],
    }


def difference_document(difference: Difference) -> dict[str, object]:
    """Return one difference by the names of its members."""
    return {name: getattr(difference, name) for name in Difference.__slots__}


def print_report(report: Report) -> None:
    """Print what was looked at and what came of it, in 80 columns; ids stand on one line."""
    period = report.period
    print_table(
        f"{period.since:%Y-%m-%d %H:%M} to {period.until:%Y-%m-%d %H:%M} UTC",
        ("check", "looked at", "off", "pending"),
        [
            (
                finding.check.name,
                f"{finding.looked_at} {finding.check.scope}",
                finding.differences,
                finding.pending,
            )
            for finding in report.findings
        ],
    )
    for finding in report.findings:
        if finding.differences:
            _print_differences(finding)
    verdict = "wrong" if report.differences else "well"
    words = f"{report.differences} differences" if report.differences != 1 else "1 difference"
    click.echo(
        f"{click.style(words if report.differences else 'nothing is off', fg=_COLOURS[verdict])}, "
        f"{click.style(f'{report.pending} pending', fg=_COLOURS['pending'] if report.pending else None)}"
    )


def _print_differences(finding: Finding) -> None:
    verdict = "noted" if finding.check.weight == Weight.INFORMATION else "wrong"
    click.echo(f"{click.style(finding.check.name, fg=_COLOURS[verdict])}: {finding.check.what}")
    for difference in finding.shown:
        click.echo(_lines(difference))
    if finding.differences > len(finding.shown):
        click.echo(f"  and {finding.differences - len(finding.shown)} more: --csv FILE has all")


def _lines(difference: Difference) -> str:
    """Write a difference in lines of 80 columns, none broken inside of an id."""
    lines = [""]
    for word in _words(difference):
        joined = f"{lines[-1]}, {word}" if lines[-1] else word
        if lines[-1] and len(joined) > _WIDTH_CHARS - 4:
            lines.append(word)
        else:
            lines[-1] = joined
    detail = textwrap.wrap(
        printable(difference.detail), _WIDTH_CHARS - 4, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join([f"  {lines[0]}", *(f"    {line}" for line in [*lines[1:], *detail])])


def _words(difference: Difference) -> Iterator[str]:
    if difference.cashback_id is not None:
        kind = "" if difference.transaction_type is None else f" type {difference.transaction_type}"
        yield f"cashback {difference.cashback_id}{kind}"
    if difference.transaction_id is not None:
        yield f"transaction {difference.transaction_id}"
    if difference.user_id is not None:
        yield f"user {printable(difference.user_id)}"
    if difference.ours is not None:
        yield f"ours {difference.ours}"
    if difference.theirs is not None:
        yield f"theirs {printable(difference.theirs)}"
    if difference.currency is not None:
        yield difference.currency
    if difference.line_number is not None:
        yield f"line {difference.line_number}"
    if difference.at is not None:
        yield f"{difference.at:%Y-%m-%d %H:%M:%S}"
    if difference.event_id is not None:
        yield f"event {difference.event_id}"
