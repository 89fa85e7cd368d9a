"""Verdicts on synthetic samples: an ill minute is no growth, a leak is, and what must grow may."""

import random
from collections.abc import Callable

import pytest

from tests.soak.rules import Rule
from tests.soak.verdict import Finding, Sample, Span, Verdict, judge, judge_all

CYCLE_SECONDS = 60.0
EVENTS_PER_SECOND = 60
SPAN = Span(warm_up_seconds=240.0, cycle_seconds=CYCLE_SECONDS)
LEVEL = Rule(unit="MB", material_per_hour=4.0)
PER_EVENT = Rule(unit="bytes", per_event=True, material_share=0.1)

Truth = Callable[[float, float], float]
"""A series' value at a time in seconds, and its noise."""


def samples(truth: Truth, *, minutes: float = 30.0, name: str = "worker.1/private_mb") -> list[Sample]:
    rng = random.Random(minutes)  # noqa: S311 -- a replay, no secret
    times = [5.0 * number + rng.uniform(0, 0.5) for number in range(round(minutes * 12) + 1)]
    return [
        Sample(
            at_seconds=at,
            events=round(EVENTS_PER_SECOND * at),
            values={name: truth(at, rng.gauss(0, 1))},
        )
        for at in times
    ]


def found(truth: Truth, rule: Rule = LEVEL, *, minutes: float = 30.0) -> Finding:
    return judge("worker.1/private_mb", rule, samples(truth, minutes=minutes), SPAN)


def ill(at: float) -> float:
    """Return what BETCORE's ill half of each cycle adds."""
    return 30.0 if at % CYCLE_SECONDS > CYCLE_SECONDS / 2 else 0.0


def test_a_level_with_ill_times_and_noise_is_steady() -> None:
    finding = found(lambda at, noise: 160.0 + ill(at) + noise)

    assert finding.verdict == Verdict.STEADY
    assert len(finding.points) == 26


def test_a_leak_under_ill_times_and_noise_grows() -> None:
    finding = found(lambda at, noise: 160.0 + ill(at) + noise + 10.0 * at / 3_600)

    assert finding.verdict == Verdict.GROWS
    assert finding.slope is not None
    assert finding.slope.low < 10.0 < finding.slope.high


def test_a_leak_that_is_certain_but_not_material_is_steady() -> None:
    finding = found(lambda at, _: 160.0 + 2.0 * at / 3_600)

    assert finding.slope is not None
    assert finding.slope.low > 0
    assert finding.verdict == Verdict.STEADY


def test_what_noise_alone_explains_is_steady() -> None:
    findings = [found(lambda _, noise: 160.0 + 20.0 * noise, minutes=minutes) for minutes in range(11, 21)]
    slopes = [(f.slope.estimate, f.last_half_per_hour) for f in findings if f.slope and f.last_half_per_hour]

    assert any(min(whole, half) > LEVEL.material_per_hour for whole, half in slopes)
    assert {finding.verdict for finding in findings} == {Verdict.STEADY}


def test_growth_in_the_warm_up_does_not_count() -> None:
    finding = found(lambda at, noise: 160.0 + min(at, 240.0) + noise)

    assert finding.verdict == Verdict.STEADY
    assert finding.points[0][1] == pytest.approx(400.0, abs=2.0)


def test_a_series_may_need_more_events_to_warm_up() -> None:
    def filling(at: float, noise: float) -> float:
        return 100.0 + min(at, 900.0) + noise / 10

    late = Rule(unit="MB", material_per_hour=8.0, warm_up_events=900 * EVENTS_PER_SECOND)

    assert found(filling, late).verdict == Verdict.STEADY
    assert len(found(filling, late).points) == 15


def test_what_levels_off_is_steady() -> None:
    assert (
        found(lambda at, noise: 160.0 + 50.0 * (1 - 2 ** (-at / 120)) + noise / 10).verdict == Verdict.STEADY
    )


@pytest.mark.parametrize("at_minute", [8, 15, 25])
def test_a_step_is_steady(at_minute: float) -> None:
    finding = found(lambda at, noise: 160.0 + 20.0 * (at > 60 * at_minute) + noise)

    assert finding.verdict == Verdict.STEADY


def test_a_step_after_it_has_levelled_off_is_steady() -> None:
    def worker(at: float, noise: float) -> float:
        return 160.0 + 30.0 * min(at, 1_000) / 1_000 + 10.0 * (at > 1_380) + noise / 10

    assert found(worker).verdict == Verdict.STEADY


def test_a_count_that_grows_with_events_is_steady_and_its_level_is_per_event() -> None:
    finding = found(lambda at, noise: 1_000_000.0 + 300 * EVENTS_PER_SECOND * at + 500 * noise, PER_EVENT)

    assert finding.verdict == Verdict.STEADY
    assert finding.level == pytest.approx(300.0, rel=0.02)


def test_an_event_that_becomes_dearer_grows() -> None:
    def dearer(at: float, noise: float) -> float:
        return EVENTS_PER_SECOND * (300 * at + 0.5 * (at * at) * 150 / 3_600) + 500 * noise

    finding = found(dearer, PER_EVENT)

    assert finding.verdict == Verdict.GROWS
    assert finding.as_json()["unit"] == "bytes per event"


def test_what_is_always_low_is_quiet() -> None:
    quiet = Rule(unit="rows", material_per_hour=1.0, quiet_below=100.0)

    assert found(lambda at, _: 10.0 + at / 100, quiet).verdict == Verdict.QUIET
    assert found(lambda at, _: 10.0 + at / 10, quiet).verdict == Verdict.GROWS


def test_a_run_of_few_cycles_says_nothing() -> None:
    assert found(lambda at, _: at, minutes=10.5).verdict == Verdict.TOO_SHORT
    assert found(lambda at, _: at, minutes=11.0).verdict == Verdict.GROWS


def test_what_is_only_stated_is_not_judged() -> None:
    finding = found(lambda at, _: at, Rule(unit="MB", judged=False))

    assert finding.verdict == Verdict.STATED
    assert finding.slope is not None
    assert finding.slope.estimate == pytest.approx(3_600.0, rel=0.01)


def test_every_series_is_judged_by_its_own_rule() -> None:
    leaking = samples(lambda at, _: at)
    both = [
        Sample(
            at_seconds=sample.at_seconds,
            events=sample.events,
            values={**sample.values, "log.web/lines": 3.0 * sample.events},
        )
        for sample in leaking
    ]

    verdicts = {finding.name: finding.verdict for finding in judge_all(both, SPAN)}

    assert verdicts == {"log.web/lines": Verdict.STEADY, "worker.1/private_mb": Verdict.GROWS}
