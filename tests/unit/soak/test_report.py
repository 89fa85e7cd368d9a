"""The report: good only where something was judged, nothing grows, and every invariant holds."""

from typing import Any

import pytest

from tests.faults.outcome import INVARIANTS
from tests.soak.report import build_report, closing_line
from tests.soak.rules import Rule
from tests.soak.slope import Slope
from tests.soak.verdict import Finding, Span, Verdict

SPAN = Span(warm_up_seconds=180.0, cycle_seconds=60.0)
GOOD: dict[str, Any] = {
    **dict.fromkeys(INVARIANTS, 0),
    "ok": True,
    "events": 9,
    "answered_in_time": 9,
    "seconds": 720.0,
    "findings": [],
}


def finding(name: str, verdict: Verdict) -> Finding:
    return Finding(
        name=name,
        rule=Rule(unit="MB", material_per_hour=4.0),
        verdict=verdict,
        points=[(0.1, 160.0), (0.2, 161.0)],
        level=160.5,
        slope=Slope(estimate=10.0, low=float("-inf"), high=12.0, step_at=0.2),
        last_half_per_hour=10.0,
    )


def report(*verdicts: Verdict, outcome: dict[str, Any] = GOOD) -> dict[str, Any]:
    findings = [finding(f"part.{number}/private_mb", verdict) for number, verdict in enumerate(verdicts)]
    return build_report(outcome=outcome, findings=findings, span=SPAN, asked={"minutes": 12})


def test_steady_and_quiet_series_and_whole_invariants_are_good() -> None:
    good = report(Verdict.STEADY, Verdict.QUIET, Verdict.STATED, Verdict.TOO_SHORT)

    assert good["ok"]
    assert closing_line(good) == (
        "soak good: 12 min, 9 events, 0 lost, 0 double credits, 0 false success, 0 late credits, 0 silent, "
        "9 in time; 2 series judged, 1 too short to say, growing: none"
    )


def test_one_series_that_grows_breaks_it_and_is_named() -> None:
    broken = report(Verdict.STEADY, Verdict.GROWS)

    assert not broken["ok"]
    assert closing_line(broken).startswith("soak BROKEN")
    assert closing_line(broken).endswith("growing: part.1/private_mb")


@pytest.mark.parametrize("verdicts", [(), (Verdict.TOO_SHORT,), (Verdict.STATED, Verdict.TOO_SHORT)])
def test_what_judges_nothing_is_not_good(verdicts: tuple[Verdict, ...]) -> None:
    assert not report(*verdicts)["ok"]


def test_a_broken_invariant_breaks_it() -> None:
    assert not report(Verdict.STEADY, outcome={**GOOD, "ok": False, "lost": 1})["ok"]


def test_an_end_that_is_nowhere_is_no_number() -> None:
    series = report(Verdict.STEADY)["series"]["part.0/private_mb"]

    assert series["low_per_hour"] is None
    assert (series["first"], series["last"], series["slope_per_hour"]) == (160.0, 161.0, 10.0)
    assert series["step_at_seconds"] == pytest.approx(720.0)
