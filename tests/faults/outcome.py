"""What came of a scenario: counts, findings, and whether it proves anything. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.faults import checks
from tests.faults.evidence import Evidence

MAX_FINDINGS: Final = 50
INVARIANTS: Final = ("lost", "double_credits", "false_success", "late_credits", "silent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One scenario's result. `unmet` is what it expected beyond the invariants and did not see."""

    name: str
    events: int
    faults: int
    findings: dict[str, Sequence[str]]
    late_accepts: Sequence[str]
    answered_in_time: int
    recoveries_ms: Sequence[int]
    unmet: Sequence[str]
    figures: dict[str, float]
    seconds: float

    @property
    def is_good(self) -> bool:
        """Whether every invariant holds, every expectation is met, and the scenario proves something."""
        return not any(self.findings.values()) and not self.unmet and self.events > 0 and self.faults > 0

    def as_json(self) -> dict[str, Any]:
        """Return its part of the report."""
        return {
            "events": self.events,
            "faults": self.faults,
            **{name: len(self.findings[name]) for name in INVARIANTS},
            "late_accepts": len(self.late_accepts),
            "answered_in_time": self.answered_in_time,
            "recovery_ms": {
                f"p{percent}": checks.percentile(self.recoveries_ms, percent) for percent in (50, 99)
            },
            "seconds": round(self.seconds, 1),
            "ok": self.is_good,
            "unmet": list(self.unmet),
            "figures": self.figures,
            "findings": self.lines()[:MAX_FINDINGS],
        }

    def lines(self) -> list[str]:
        """Return one line for each finding and each unmet expectation."""
        found = [f"{name}: {line}" for name, lines in self.findings.items() for line in lines]
        proof = [f"no {what}: it proves nothing" for what in ("events", "faults") if not getattr(self, what)]
        return [*found, *self.unmet, *proof]


def judge(  # noqa: PLR0913 -- what a scenario leaves behind, keyword-only
    name: str,
    evidence: Evidence,
    *,
    cutoff_seconds: float,
    least_in_time_share: float,
    unmet: Sequence[str],
    figures: dict[str, float],
    seconds: float,
) -> Outcome:
    """Run every check on the evidence of a scenario."""
    events = len(evidence.received_by_ms)
    in_time = checks.answered_in_time(evidence)
    late_accepts = checks.late_accepts(evidence)
    is_enough = in_time >= least_in_time_share * events
    missed = [] if is_enough else [f"{events - in_time} of {events} events were not answered in time"]
    return Outcome(
        name=name,
        events=events,
        faults=len(evidence.faults),
        findings={
            "lost": checks.lost(evidence),
            "double_credits": checks.double_credits(evidence),
            "false_success": checks.false_success(evidence),
            "late_credits": checks.late_credits(evidence, cutoff_seconds=cutoff_seconds),
            "silent": checks.silent(evidence),
        },
        late_accepts=late_accepts,
        answered_in_time=in_time,
        recoveries_ms=checks.recoveries_ms(evidence),
        unmet=[*unmet, *missed, *late_accepts],
        figures=figures,
        seconds=seconds,
    )
