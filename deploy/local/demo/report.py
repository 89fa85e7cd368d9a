"""The report of a demo: its figures, its findings, and the table for people."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from deploy.local.demo import check
from deploy.local.demo.answers import AnswerKeys
from deploy.local.demo.history import RECEIVED_STATUS, History, Sent
from deploy.local.demo.planning.plan import Plan

MAX_FINDINGS_SHOWN: Final = 50
_GOOD: Final = "holds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What the checks found, by invariant; all empty where every invariant holds."""

    by_invariant: Mapping[str, Sequence[str]]

    @property
    def all_hold(self) -> bool:
        """Whether nothing was found."""
        return not any(self.by_invariant.values())

    def lines(self) -> list[str]:
        """Return one line for each finding."""
        return [f"{name}: {text}" for name, found in self.by_invariant.items() for text in found]


def examine(plan: Plan, sent: Mapping[int, Sent], history: History) -> Findings:
    """Run every check. Pure."""
    return Findings(
        by_invariant={
            "every received event has one end": check.without_end(history),
            "no event is lost": check.lost(history),
            "money moves once": check.double_credits(history, plan.expected_balances()),
            "success is true": check.false_success(history),
            "no error for a credit": check.error_answers(history),
            "no late money": check.late_credits(history),
            "no accept after the deadline": check.late_accepts(history),
            "the books balance": check.wrong_books(history),
            "all came as planned": check.unexpected(plan, sent, history),
        }
    )


def build_report(  # noqa: PLR0913 -- the parts of a report, keyword-only
    *,
    plan: Plan,
    sent: Mapping[int, Sent],
    history: History,
    findings: Findings,
    hops_ms: Mapping[str, float],
    seconds: float,
    versions: Mapping[str, str],
) -> dict[str, Any]:
    """Return the members of report.json. Pure."""
    found = findings.by_invariant
    ends = check.ends(history)
    latencies_ms = answer_latencies_ms(history)
    ordinary = {
        sent[make.number].token_sha256 for make in plan.makes if make.ordinary and make.number in sent
    }
    ordinary_ms = _percentiles(value for token, value in latencies_ms.items() if token in ordinary)
    hops_sum_ms = round(sum(hops_ms.values()), 3)
    p50_ms = ordinary_ms["p50"]
    return {
        "makes": len(history.makes),
        "received": len(history.received_tokens()),
        "rejected_at_door": sum(make.http_status != RECEIVED_STATUS for make in history.makes),
        "answered_in_time": ends["answered"],
        "expired": ends["expired"],
        "refused": ends["refused"],
        "lost": len(found["no event is lost"]),
        "double_credits": len(found["money moves once"]),
        "books_sum_minor": check.books_sum_minor(history),
        "false_success": len(found["success is true"]) + len(found["no error for a credit"]),
        "late_credits": len(found["no late money"]),
        "unconfirmed": sum(receipt.unconfirmed for receipt in history.receipts),
        "unexpected": found["all came as planned"],
        "broken": findings.lines(),
        "latency_ms": _percentiles(latencies_ms.values()),
        "ordinary_latency_ms": ordinary_ms,
        "hops_ms": dict(hops_ms),
        "hops_sum_ms": hops_sum_ms,
        "p50_over_hops": None if p50_ms is None else round(p50_ms / hops_sum_ms, 1),
        "attempts": len(history.accepts),
        "seconds": round(seconds, 1),
        "seed": plan.seed,
        "versions": dict(versions),
    }


def answer_latencies_ms(history: History) -> dict[str, int]:
    """Return for each answered event, by its token's digest, the time from its first sending to its end.

    Milliseconds by the simulator's clock, up to the moment at which BETCORE first acknowledged its accept.
    """
    keys = AnswerKeys(history)
    begun_at_ms = {make.token_sha256: make.first_sent_at_ms for make in history.makes}
    waiting = defaultdict(list)
    for receipt in history.receipts:
        if receipt.state == "answered" and receipt.token_sha256 in begun_at_ms:
            waiting[keys.of_receipt(receipt)].append(receipt.token_sha256)
    for tokens in waiting.values():
        tokens.sort(key=begun_at_ms.__getitem__, reverse=True)
    latencies_ms = {}
    for accept in history.accepts:
        tokens = waiting.get(keys.of_accept(accept), [])
        if tokens and accept.acknowledged and accept.answered_at_ms is not None:
            token = tokens.pop()
            latencies_ms[token] = accept.answered_at_ms - begun_at_ms[token]
    return latencies_ms


def _percentiles(values: Iterable[int]) -> dict[str, int | None]:
    ordered = sorted(values)
    return {f"p{percent}": _nearest_rank(ordered, percent) for percent in (50, 99)}


def _nearest_rank(ordered: Sequence[int], percent: int) -> int | None:
    return ordered[math.ceil(len(ordered) * percent / 100) - 1] if ordered else None


def print_report(console: Console, report: Mapping[str, Any], findings: Findings, *, path: str) -> None:
    """Print the figures, the hops and the invariants as tables, and each finding as a line."""
    console.print(_figures(report))
    console.print(_hops(report))
    invariants = Table("Invariant", "", title="Checked from outside")
    for name, found in findings.by_invariant.items():
        verdict = Text(f"{len(found)} broken", "bold red") if found else Text(_GOOD, "green")
        invariants.add_row(name, verdict)
    console.print(invariants)
    lines = findings.lines()
    for line in lines[:MAX_FINDINGS_SHOWN]:
        console.print(Text(line, "red"), soft_wrap=True)
    if len(lines) > MAX_FINDINGS_SHOWN:
        console.print(f"... and {len(lines) - MAX_FINDINGS_SHOWN} more, in {path}")
    console.print(f"Report: {path}", soft_wrap=True)


def _figures(report: Mapping[str, Any]) -> Table:
    table = Table("", title=f"Demo with seed {report['seed']}, {report['seconds']} s")
    table.add_column(justify="right")
    names = (
        "makes",
        "received",
        "rejected_at_door",
        "answered_in_time",
        "expired",
        "refused",
        "lost",
        "double_credits",
        "books_sum_minor",
        "false_success",
        "late_credits",
        "unconfirmed",
        "attempts",
    )
    for name in names:
        table.add_row(name.replace("_", " "), str(report[name]))
    table.add_row("unexpected", str(len(report["unexpected"])))
    table.add_row("latency p50, p99 (all)", _pair_ms(report["latency_ms"]))
    table.add_row("latency p50, p99 (ordinary)", _pair_ms(report["ordinary_latency_ms"]))
    return table


def _hops(report: Mapping[str, Any]) -> Table:
    table = Table("Hop", title="Make to accept: the bare hops")
    table.add_column("median, ms", justify="right")
    for name, value_ms in report["hops_ms"].items():
        table.add_row(name.replace("_", " "), f"{value_ms:.2f}")
    table.add_section()
    table.add_row("sum", f"{report['hops_sum_ms']:.2f}")
    table.add_row("ordinary p50", str(report["ordinary_latency_ms"]["p50"]))
    table.add_row("p50 over the sum", str(report["p50_over_hops"]))
    return table


def _pair_ms(percentiles: Mapping[str, int | None]) -> str:
    return f"{percentiles['p50']} ms, {percentiles['p99']} ms"
