"""Whether a series grows: its samples by cycles of BETCORE's illness, their slope, and a rule. Pure.

A cycle holds well and ill times alike, so one cycle's median, or its growth for each event, stands beside the
next one's: what remains is noise or growth.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeAlias

from tests.soak.rules import Rule, rule_for
from tests.soak.slope import LEAST_POINTS, Point, Slope, steady_slope

_HOUR_SECONDS: Final = 3_600.0
# In cycles: looks do not fall on the very moment at which one begins.
_SLACK: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look at everything: seconds since the load began, events so far, and values by series."""

    at_seconds: float
    events: int
    values: Mapping[str, float]


Cycles: TypeAlias = Sequence[tuple[int, Sequence[Sample]]]
"""Cycles by number, with their samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Which samples count, and by what cycles, in seconds since the load began."""

    warm_up_seconds: float
    cycle_seconds: float


class Verdict(StrEnum):
    """What was found of one series."""

    STEADY = "steady"
    GROWS = "grows"
    QUIET = "quiet"
    """Always so low that something else bounds it."""

    TOO_SHORT = "too short"
    """Too few cycles after its warm-up: nothing can be said."""

    STATED = "stated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found of one series; `level` and the slopes are per event where the rule says so.

    `last_half_per_hour` is how much it still grows at the end.
    """

    name: str
    rule: Rule
    verdict: Verdict
    points: Sequence[Point]
    level: float | None = None
    slope: Slope | None = None
    last_half_per_hour: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return its part of the report."""
        slope = self.slope
        return {
            "unit": self.rule.unit + (" per event" if self.rule.per_event else ""),
            "verdict": str(self.verdict),
            "cycles": len(self.points),
            "level": self.level,
            "first": self.points[0][1] if self.points else None,
            "last": self.points[-1][1] if self.points else None,
            "slope_per_hour": slope and _finite(slope.estimate),
            "low_per_hour": slope and _finite(slope.low),
            "high_per_hour": slope and _finite(slope.high),
            "step_at_seconds": slope and slope.step_at and slope.step_at * _HOUR_SECONDS,
            "last_half_per_hour": self.last_half_per_hour,
            "material_per_hour": self.rule.material(self.level or 0.0),
        }


def judge_all(samples: Sequence[Sample], span: Span) -> list[Finding]:
    """Judge every series that was sampled, in the order of their names; raises NoRule."""
    names = sorted({name for sample in samples for name in sample.values})
    return [judge(name, rule_for(name), samples, span) for name in names]


def judge(name: str, rule: Rule, samples: Sequence[Sample], span: Span) -> Finding:
    """Judge one series: it grows where its growth is certain, material, and goes on to the end."""
    points = points_of(name, rule, samples, span)
    level = statistics.median(y for _, y in points) if points else None
    if level is None or len(points) < LEAST_POINTS:
        verdict = Verdict.TOO_SHORT if rule.judged else Verdict.STATED
        return Finding(name=name, rule=rule, verdict=verdict, points=points, level=level)
    slope = steady_slope(points)
    last_half = steady_slope(points[len(points) // 2 :]).estimate
    material = rule.material(level)
    if not rule.judged:
        verdict = Verdict.STATED
    elif max(y for _, y in points) < rule.quiet_below:
        verdict = Verdict.QUIET
    elif slope.low > 0 and min(slope.estimate, last_half) > material:
        verdict = Verdict.GROWS
    else:
        verdict = Verdict.STEADY
    return Finding(
        name=name,
        rule=rule,
        verdict=verdict,
        points=points,
        level=level,
        slope=slope,
        last_half_per_hour=last_half,
    )


def points_of(name: str, rule: Rule, samples: Sequence[Sample], span: Span) -> list[Point]:
    """Return one point for each whole cycle after the warm-up: its middle in hours, and its value."""
    warm = [
        sample
        for sample in samples
        if name in sample.values
        and sample.at_seconds >= span.warm_up_seconds
        and sample.events >= rule.warm_up_events
    ]
    cycles: dict[int, list[Sample]] = {}
    for sample in warm:
        cycles.setdefault(int(sample.at_seconds // span.cycle_seconds), []).append(sample)
    chosen = [(number, cycles[number]) for number in sorted(cycles) if number in _whole(warm, span)]
    values = _per_event(name, chosen, cycles) if rule.per_event else _levels(name, chosen)
    return [((number + 0.5) * span.cycle_seconds / _HOUR_SECONDS, value) for number, value in values]


def _whole(samples: Sequence[Sample], span: Span) -> range:
    """Return the cycles that samples cover from end to end, but for a tenth of a cycle."""
    begun = samples[0].at_seconds / span.cycle_seconds
    ended = samples[-1].at_seconds / span.cycle_seconds
    return range(math.ceil(begun - _SLACK), math.floor(ended + _SLACK))


def _levels(name: str, chosen: Cycles) -> list[tuple[int, float]]:
    return [(number, statistics.median(s.values[name] for s in samples)) for number, samples in chosen]


def _per_event(name: str, chosen: Cycles, cycles: Mapping[int, Sequence[Sample]]) -> list[tuple[int, float]]:
    found = []
    for number, samples in chosen:
        first = samples[0]
        # From the first look of this cycle to that of the next, so that nothing between them is left out.
        last = cycles[number + 1][0] if number + 1 in cycles else samples[-1]
        events = last.events - first.events
        if events > 0:
            found.append((number, (last.values[name] - first.values[name]) / events))
    return found


def _finite(value: float) -> float | None:
    # JSON has no infinity.
    return value if math.isfinite(value) else None
