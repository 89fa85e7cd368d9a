"""Slopes of series whose truth is known: noise, leaks, steps, and what levels off."""

import itertools
import random
from collections.abc import Callable, Sequence

import pytest

from tests.soak.slope import LEAST_POINTS, Point, plain_slope, steady_slope

MINUTES = 45
SEEDS = range(60)


def series(seed: int, truth: Callable[[int], float], *, noise: float = 1.0) -> list[Point]:
    rng = random.Random(seed)  # noqa: S311 -- a replay, no secret
    return [(minute / 60, truth(minute) + rng.gauss(0, noise)) for minute in range(MINUTES)]


def growing_share(make: Callable[[int], Sequence[Point]]) -> float:
    return sum(steady_slope(make(seed)).low > 0 for seed in SEEDS) / len(SEEDS)


def test_noise_about_a_level_hardly_ever_grows() -> None:
    assert growing_share(lambda seed: series(seed, lambda _: 160.0)) < 0.03


def test_noise_that_lingers_hardly_ever_grows() -> None:
    def lingering(seed: int) -> list[Point]:
        noise = series(seed, lambda _: 0.0)
        lingered = itertools.accumulate((y for _, y in noise), lambda last, fresh: 0.6 * last + fresh)
        return [(x, 160.0 + y) for (x, _), y in zip(noise, lingered, strict=True)]

    assert sum(plain_slope(lingering(seed)).low > 0 for seed in SEEDS) / len(SEEDS) < 0.08
    assert growing_share(lingering) < 0.08


def test_a_slow_leak_in_noise_grows() -> None:
    # 8 an hour, of which the series sees 6, in noise of 1.
    assert growing_share(lambda seed: series(seed, lambda minute: 160.0 + minute * 8 / 60)) > 0.95


def test_the_interval_holds_the_true_slope() -> None:
    found = [plain_slope(series(seed, lambda minute: minute * 8 / 60)) for seed in SEEDS]

    assert sum(slope.low <= 8 <= slope.high for slope in found) / len(found) > 0.93
    assert all(slope.low <= slope.estimate <= slope.high for slope in found)


@pytest.mark.parametrize("at", [5, 15, 22, 30, 40])
def test_a_step_is_no_slope(at: int) -> None:
    assert growing_share(lambda seed: series(seed, lambda minute: 160.0 + 20.0 * (minute >= at))) < 0.08


def test_a_step_would_be_a_slope_if_none_was_granted() -> None:
    steps = [series(seed, lambda minute: 160.0 + 3.0 * (minute >= 22)) for seed in SEEDS]

    assert sum(plain_slope(points).low > 0 for points in steps) / len(steps) > 0.5
    assert sum(steady_slope(points).low > 0 for points in steps) / len(steps) < 0.08


def test_a_leak_that_goes_on_after_a_step_down_grows() -> None:
    def leaking(minute: int) -> float:
        return 160.0 + minute * 12 / 60 - 20.0 * (minute >= 22)

    assert growing_share(lambda seed: series(seed, leaking)) > 0.95


def test_a_staircase_grows() -> None:
    # One connection more every five minutes.
    assert growing_share(lambda seed: series(seed, lambda minute: 4.0 + minute // 5, noise=0.1)) > 0.95


def test_what_never_moves_has_no_slope_and_a_line_has_its_own() -> None:
    level = [(float(x), 7.0) for x in range(20)]
    line = [(float(x), 7.0 + 2 * x) for x in range(20)]

    assert (steady_slope(level).low, steady_slope(level).high) == (0.0, 0.0)
    assert (steady_slope(line).low, steady_slope(line).high) == (2.0, 2.0)


def test_what_shrinks_does_not_grow() -> None:
    assert growing_share(lambda seed: series(seed, lambda minute: 160.0 - minute * 8 / 60)) == 0


@pytest.mark.parametrize("points", range(2, LEAST_POINTS + 3))
def test_a_line_is_certain_to_grow_from_the_least_number_of_points_on(points: int) -> None:
    line = [(float(x), float(x)) for x in range(points)]

    assert (steady_slope(line).low > 0) == (points >= LEAST_POINTS)
