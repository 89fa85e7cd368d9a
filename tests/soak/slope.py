"""How fast a series grows: Sen's slope with its confidence interval, after one step is forgiven. Pure.

The slope is the median of the slopes between all pairs of points, its interval comes from Kendall's variance
(Sen, 1968). Neighbours that resemble each other carry less than two points' worth: the variance is widened by
the residuals' lag-one autocorrelation (Yue and Wang, 2004).

A step is no slope: a pool that opened one connection more, a heap that took one arena more. With a step
granted, only pairs on one side of it count, as pairs of one season do in the seasonal test of Hirsch and
Slack (1984). What grows, grows on both sides of any step.
"""

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

Point: TypeAlias = tuple[float, float]

CONFIDENCE: Final = 0.95
# With fewer points not even a straight line is certain to grow, once a step is granted.
LEAST_POINTS: Final = 7
_Z: Final = statistics.NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
# Fewer on one side of a step say nothing of a slope there.
_LEAST_SIDE: Final = 2
# A step that leaves less than this share of the deviations from a line is no chance.
_CLEAR_STEP: Final = 0.5
# An estimate from few points may come near 1, which would widen any interval to nothing.
_MOST_AUTOCORRELATION: Final = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Slope:
    """Growth of y for each unit of x: the estimate and the ends of its interval, which may be infinite.

    `step_at` is the x from which on a step is granted, None where none is.
    """

    estimate: float
    low: float
    high: float
    step_at: float | None = None


def plain_slope(points: Sequence[Point]) -> Slope:
    """Return the slope of all points, steps and all; needs two points with ascending x."""
    return _slope([points])


def steady_slope(points: Sequence[Point]) -> Slope:
    """Return the slope beside one step, which is granted where it explains most; needs two points.

    Where it does not explain much, the less certain of the slopes with and without it counts: a step that
    noise alone suggests must not make a slope either.
    """
    plain = plain_slope(points)
    places = range(_LEAST_SIDE, len(points) - _LEAST_SIDE + 1)
    if not places:
        return plain
    sides = min(([points[:place], points[place:]] for place in places), key=_unexplained)
    stepped = _slope(sides, step_at=sides[1][0][0])
    if _unexplained(sides) < _CLEAR_STEP * _unexplained([points]):
        return stepped
    return min(plain, stepped, key=lambda slope: slope.low)


def _slope(sides: Sequence[Sequence[Point]], *, step_at: float | None = None) -> Slope:
    slopes = _pair_slopes(sides)
    estimate = statistics.median(slopes)
    variance = sum(_kendall_variance(len(side)) for side in sides) * _widening(sides, estimate)
    half = _Z * math.sqrt(variance)
    below, above = math.floor((len(slopes) - half) / 2), math.ceil((len(slopes) + half) / 2)
    return Slope(
        estimate=estimate,
        low=slopes[below - 1] if below >= 1 else -math.inf,
        high=slopes[above] if above < len(slopes) else math.inf,
        step_at=step_at,
    )


def _pair_slopes(sides: Sequence[Sequence[Point]]) -> list[float]:
    return sorted(
        (right[1] - left[1]) / (right[0] - left[0])
        for side in sides
        for left, right in itertools.combinations(side, 2)
    )


def _unexplained(sides: Sequence[Sequence[Point]]) -> float:
    estimate = statistics.median(_pair_slopes(sides))
    return sum(abs(value) for side in sides for value in _residuals(side, estimate))


def _kendall_variance(points: int) -> float:
    return points * (points - 1) * (2 * points + 5) / 18


def _widening(sides: Sequence[Sequence[Point]], estimate: float) -> float:
    """Return by how much neighbours that resemble each other widen the variance: 1 where they do not."""
    residuals = [_residuals(side, estimate) for side in sides]
    squares = sum(value * value for side in residuals for value in side)
    if not squares:
        return 1.0
    count = sum(len(side) for side in residuals)
    found = sum(a * b for side in residuals for a, b in itertools.pairwise(side)) / squares
    # From few points it comes out too low, by about so much (Marriott and Pope, 1954).
    correlation = min(_MOST_AUTOCORRELATION, max(0.0, found + (1 + 4 * found) / count))
    return (1 + correlation) / (1 - correlation)


def _residuals(side: Sequence[Point], estimate: float) -> list[float]:
    straightened = [y - estimate * x for x, y in side]
    middle = statistics.median(straightened)
    return [value - middle for value in straightened]
