"""What a run says: a JSON report of all samples, and the tables in Markdown. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.benchmarks.measure import Sample, Table

MEASURED_BEGIN: Final = "<!-- measured -->"
MEASURED_END: Final = "<!-- /measured -->"
_MANY: Final = 100
_SOME: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a ratio is, what it must reach, and what it is meant to reach; `is_ceiling`: less is better."""

    text: str
    bar: float
    goal: float
    is_ceiling: bool = False

    def verdict(self, ratio: float | None) -> str:
        """Say how far a ratio comes."""
        if ratio is None:
            return "not run"
        for limit, word in ((self.goal, "goal"), (self.bar, "bar")):
            if ratio <= limit if self.is_ceiling else ratio >= limit:
                return word
        return "**missed**"


MARKS: Final[Mapping[str, Mark]] = {
    "receiver_vs_textbook": Mark(text="receiver ÷ textbook, 32 connections", bar=4, goal=8),
    "receiver_vs_limit": Mark(text="receiver ÷ its limit, 32 connections", bar=0.5, goal=0.7),
    "settlement_vs_ceiling": Mark(text="settlement ÷ engine's ceiling", bar=0.6, goal=1),
    "settlement_vs_textbook": Mark(text="settlement ÷ textbook worker", bar=2.5, goal=5),
    "settlement_vs_best_peer": Mark(text="settlement ÷ best of dramatiq, taskiq, arq", bar=1.2, goal=2),
    "p99_at_half_vs_hops": Mark(
        text="p99 make → accept at 50% ÷ sum of its hops' p50", bar=5, goal=3, is_ceiling=True
    ),
    "growth_backlog": Mark(
        text="cost per event, deepest backlog ÷ empty", bar=1.15, goal=1.05, is_ceiling=True
    ),
    "growth_ledger": Mark(
        text="cost per event, largest ledger ÷ empty", bar=1.15, goal=1.05, is_ceiling=True
    ),
    "memory_growth": Mark(text="worker's memory, last look ÷ first", bar=1.1, goal=1.0, is_ceiling=True),
    # Before tokens had a table of their own an event wrote 5.6 KB and 3.3 KB (decision 23), and before its
    # accept was on record 3.35 KB and 1.6 KB (decision 46).
    "wal_kb_per_event": Mark(text="log written for an event, KB", bar=3.7, goal=2.8, is_ceiling=True),
    "heap_kb_per_event": Mark(text="tables written for an event, KB", bar=2.0, goal=1.5, is_ceiling=True),
    "ill_credit_p99_ms": Mark(
        text="p99 make → credit, accept or token hangs, ms", bar=500, goal=50, is_ceiling=True
    ),
    "ill_refused": Mark(text="makes refused in their first 25 s", bar=0, goal=0, is_ceiling=True),
    "ill_answered": Mark(text="answered of those that had time: hangs, and 3 s for an answer", bar=1, goal=1),
    "ill_last_moments": Mark(text="answered of those whose first 27 s failed", bar=0.99, goal=1),
    "ill_accepts_per_event": Mark(
        text="accepts sent for an event, 3 s for an answer", bar=1.01, goal=1, is_ceiling=True
    ),
    "ill_token_calls_per_second": Mark(
        text="calls of an ill Token endpoint per second, two workers", bar=1, goal=0.5, is_ceiling=True
    ),
    "ill_retry_vs_event": Mark(
        text="worker's CPU for a retry ÷ for an event", bar=1, goal=0.5, is_ceiling=True
    ),
    "neighbours_p99": Mark(
        text="p99 of makes and of another partner's events, beside a flood ÷ undisturbed",
        bar=2,
        goal=1.2,
        is_ceiling=True,
    ),
    "neighbours_refused": Mark(text="makes refused beside a flood", bar=0, goal=0, is_ceiling=True),
}


def build_report(
    *,
    facts: Mapping[str, Any],
    tables: Sequence[Table],
    ratios: Mapping[str, float],
    failures: Mapping[str, str],
) -> dict[str, Any]:
    """Return the report. A ratio whose table was not run, or did not get to its end, is null."""
    return {
        **facts,
        "tables": {table.name: _table_as_json(table) for table in tables},
        "ratios": {name: ratios.get(name) for name in MARKS},
        "failures": dict(failures),
    }


def tables_of(report: Mapping[str, Any]) -> list[Table]:
    """Return the tables of a report that was read back."""
    return [
        Table(
            name=name,
            title=table["title"],
            unit=table["unit"],
            samples=tuple(
                Sample(row=row, round=sample["round"], values=sample["values"])
                for row, found in table["rows"].items()
                for sample in found["samples"]
            ),
        )
        for name, table in report["tables"].items()
    ]


def ratios_markdown(report: Mapping[str, Any]) -> str:
    """Return the table of ratios."""
    lines = ["| ratio of medians | measured | bar | goal | reached |", "|---|---|---|---|---|"]
    for name, mark in MARKS.items():
        ratio = report["ratios"][name]
        sign = "≤" if mark.is_ceiling else "≥"
        shown = "-" if ratio is None else f"{ratio:.2f}"
        verdict = mark.verdict(ratio)
        lines.append(f"| {mark.text} | {shown} | {sign} {mark.bar:g} | {mark.goal:g} | {verdict} |")
    return "\n".join(lines)


def table_markdown(table: Table) -> str:
    """Return a table's figures, and under them what they cost: medians, with least and greatest."""
    values = list(dict.fromkeys(value for row in table.rows() for value in table.values(row)))
    costs = [value for value in values if _is_cost(value)]
    figures = [value for value in values if value not in costs]
    grids = [_grid(table, figures, with_spread=True), _grid(table, costs, with_spread=False)]
    return "\n\n".join(grid for grid in grids if grid)


def measured_part(report: Mapping[str, Any], *, texts: Mapping[str, str], plots: Mapping[str, str]) -> str:
    """Return what a run says, in Markdown: `texts` describe the tables, `plots` are paths of pictures."""
    parts = [_facts_text(report), ratios_markdown(report)]
    parts += [f"The table *{name}* failed: {reason}" for name, reason in report["failures"].items()]
    for table in tables_of(report):
        parts += [f"### {table.title}", texts.get(table.name, ""), table_markdown(table)]
        if table.name in plots:
            parts.append(f"![{table.title}]({plots[table.name]})")
    return "\n\n".join(part for part in parts if part)


def replace_measured(document: str, part: str) -> str:
    """Return the document with its measured part replaced; raises ValueError where it has none."""
    before, begin, rest = document.partition(MEASURED_BEGIN)
    _, end, after = rest.partition(MEASURED_END)
    if not begin or not end:
        raise ValueError(f"the document lacks {MEASURED_BEGIN} … {MEASURED_END}")
    return f"{before}{begin}\n\n{part}\n\n{end}{after}"


def _table_as_json(table: Table) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for row in table.rows():
        values = table.values(row)
        samples = [sample for sample in table.samples if sample.row == row]
        rows[row] = {
            "medians": {value: table.median(row, value) for value in values},
            "spread": {value: table.spread(row, value) for value in values},
            "samples": [{"round": sample.round, "values": dict(sample.values)} for sample in samples],
        }
    return {"title": table.title, "unit": table.unit, "rows": rows}


def _is_cost(value: str) -> bool:
    return "cpu_ms" in value or value.startswith("peak_rss_mb")


def _grid(table: Table, columns: Sequence[str], *, with_spread: bool) -> str:
    if not columns:
        return ""
    heads = [column.replace("_", " ") for column in columns]
    lines = [f"| per {table.unit} | " + " | ".join(heads) + " |", "|---" * (len(columns) + 1) + "|"]
    for row in table.rows():
        if not set(columns) & set(table.values(row)):
            continue
        cells = [_cell(table, row, column, with_spread=with_spread) for column in columns]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(table: Table, row: str, column: str, *, with_spread: bool) -> str:
    if column not in table.values(row):
        return ""
    median = number(table.median(row, column))
    least, greatest = (number(bound) for bound in table.spread(row, column))
    return median if not with_spread or least == greatest else f"{median} ({least} to {greatest})"


def number(value: float) -> str:
    """Return a figure with no more digits than are worth reading."""
    if abs(value) >= _MANY or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= _SOME else f"{value:.2f}"


def _facts_text(report: Mapping[str, Any]) -> str:
    machine, versions = report["machine"], report["versions"]
    parts = ", ".join(f"{name} {version}" for name, version in versions.items())
    text = (
        f"Measured on {machine['cpus']} cores ({machine['processor']}) with everything on them: load, "
        f"receiver, workers, servers and BETCORE. {report['rounds']} rounds of the {report['form']} form, "
        f"{report['seconds'] / 60:.0f} min. {parts}."
    )
    quick = "\n\n**A quick run: it shows that everything runs; its figures are too short to be believed.**"
    return text + quick if report["form"] == "quick" else text
