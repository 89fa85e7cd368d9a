"""What came of a soak: as JSON, as a table, as a last line. Pure but for the printing."""

import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.faults.outcome import INVARIANTS
from tests.soak.verdict import Finding, Span, Verdict

_JUDGED: Final = frozenset({Verdict.STEADY, Verdict.QUIET, Verdict.GROWS})
# What does not grow is shown where it ends so.
_SHOWN: Final = (
    "/private_mb",
    "/descriptors",
    "/connections",
    "/memory_mb",
    "/rows",
    "/bytes_per_row",
    "/bytes",
)
_MOST_FINDINGS: Final = 10


def build_report(
    *, outcome: Mapping[str, Any], findings: Sequence[Finding], span: Span, asked: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the report: `outcome` is what the invariants came to, `asked` what the soak was asked to do."""
    grows = [finding.name for finding in findings if finding.verdict == Verdict.GROWS]
    too_short = [finding.name for finding in findings if finding.verdict == Verdict.TOO_SHORT]
    judged = sum(finding.verdict in _JUDGED for finding in findings)
    return {
        "asked": dict(asked),
        "machine": {"cpus": os.cpu_count(), "processor": platform.machine(), "system": platform.system()},
        "warm_up_seconds": span.warm_up_seconds,
        "cycle_seconds": span.cycle_seconds,
        "outcome": dict(outcome),
        "judged": judged,
        "grows": grows,
        "too_short": too_short,
        "series": {finding.name: finding.as_json() for finding in findings},
        "ok": bool(outcome["ok"]) and not grows and judged > 0,
    }


def show(console: Console, report: Mapping[str, Any], findings: Sequence[Finding]) -> None:
    """Print what grows, what one asks for first, what is broken, and the sum of it all in a last line."""
    table = Table("series", "level", "an hour", "95 % interval", "material", "verdict")
    for finding in findings:
        if finding.verdict == Verdict.GROWS or (finding.slope and finding.name.endswith(_SHOWN)):
            table.add_row(*row_of(finding))
    console.print(table)
    for line in report["outcome"]["findings"][:_MOST_FINDINGS]:
        console.print(Text(line, "red"), soft_wrap=True)
    console.print(closing_line(report), soft_wrap=True)


def row_of(finding: Finding) -> tuple[str, str, str, str, str, Text]:
    """Return a finding as a line of the table."""
    slope, per = finding.slope, " per event" if finding.rule.per_event else ""
    return (
        finding.name,
        "-" if finding.level is None else f"{finding.level:,.4g} {finding.rule.unit}{per}",
        "-" if slope is None else f"{slope.estimate:+,.3g}",
        "-" if slope is None else f"{slope.low:+,.3g} to {slope.high:+,.3g}",
        f"{finding.rule.material(finding.level or 0.0):,.3g}" if finding.rule.judged else "-",
        Text(str(finding.verdict), "bold red" if finding.verdict == Verdict.GROWS else ""),
    )


def closing_line(report: Mapping[str, Any]) -> str:
    """Return the sum of it all."""
    outcome = report["outcome"]
    counts = ", ".join(f"{outcome[name]} {name.replace('_', ' ')}" for name in INVARIANTS)
    short = f", {len(report['too_short'])} too short to say" if report["too_short"] else ""
    return (
        f"soak {'good' if report['ok'] else 'BROKEN'}: {outcome['seconds'] / 60:.0f} min, "
        f"{outcome['events']} events, {counts}, {outcome['answered_in_time']} in time; "
        f"{report['judged']} series judged{short}, growing: {', '.join(report['grows']) or 'none'}"
    )
