"""What came of a soak: as JSON, as a table, as a last line. Pure but for the printing."""

import os
import platform
from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tests.faults.outcome import INVARIANTS, Outcome
from tests.soak.verdict import Finding, Span, Verdict

# Where nothing is wrong, these alone are shown.
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
    *, outcome: Outcome, findings: Sequence[Finding], span: Span, asked: dict[str, Any]
) -> dict[str, Any]:
    """Return the report; `asked` is what the soak was asked to do."""
    grows = [finding.name for finding in findings if finding.verdict == Verdict.GROWS]
    too_short = [finding.name for finding in findings if finding.verdict == Verdict.TOO_SHORT]
    return {
        "asked": asked,
        "machine": {"cpus": os.cpu_count(), "processor": platform.machine(), "system": platform.system()},
        "warm_up_seconds": span.warm_up_seconds,
        "cycle_seconds": span.cycle_seconds,
        "outcome": outcome.as_json(),
        "grows": grows,
        "too_short": too_short,
        "series": {finding.name: finding.as_json() for finding in findings},
        "ok": outcome.is_good and not grows and len(too_short) < len(findings),
    }


def show(console: Console, report: dict[str, Any], findings: Sequence[Finding], outcome: Outcome) -> None:
    """Print what grows, what one asks for first, what is broken, and the sum of it all in a last line."""
    table = Table("series", "level", "an hour", "95 % interval", "material", "verdict")
    for finding in findings:
        if finding.verdict == Verdict.GROWS or (finding.slope and finding.name.endswith(_SHOWN)):
            table.add_row(*row_of(finding))
    console.print(table)
    for line in outcome.lines()[:_MOST_FINDINGS]:
        console.print(Text(line, "red"), soft_wrap=True)
    console.print(closing_line(report, outcome), soft_wrap=True)


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


def closing_line(report: dict[str, Any], outcome: Outcome) -> str:
    """Return the sum of it all."""
    counts = ", ".join(f"{len(outcome.findings[name])} {name.replace('_', ' ')}" for name in INVARIANTS)
    judged = [s for s in report["series"].values() if s["verdict"] in {"steady", "quiet", "grows"}]
    grows = ", ".join(report["grows"]) or "none"
    short = f", {len(report['too_short'])} too short to say" if report["too_short"] else ""
    verdict = "good" if report["ok"] else "BROKEN"
    return (
        f"soak {verdict}: {outcome.seconds / 60:.0f} min, {outcome.events} events, {counts}, "
        f"{outcome.answered_in_time} in time; {len(judged)} series judged{short}, growing: {grows}"
    )
