"""What is worked out from the course of a sample. Pure."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from tests.benchmarks.ill.path import DEADLINE_SECONDS, Course
from tests.benchmarks.measure import percentile
from worker.domain.deadline import LAST_ATTEMPT_SECONDS

# BETCORE's own promise about the first moments of an illness (issue 16).
FIRST_SECONDS: Final = 25.0
# The last attempt leaves so long before the end: an event with less time has had it.
STILL_TIME_SECONDS: Final = LAST_ATTEMPT_SECONDS

EVENTS: Final = "events"
STILL_HAD_TIME: Final = "still_had_time"
ANSWERED_OF_THEM: Final = "answered_of_them"
REFUSED_EARLY: Final = "refused_in_25_s"
CREDIT_P50: Final = "credit_p50_ms"
CREDIT_P99: Final = "credit_p99_ms"
MOST_WAITING: Final = "waiting_at_most"
KB_PER_ACCEPT: Final = "kb_per_waiting_accept"
ACCEPTS_PER_EVENT: Final = "accepts_per_event"
TOKEN_CALLS: Final = "token_calls"
TOKEN_CALLS_PER_SECOND: Final = "token_calls_in_a_second"
WORKER_CPU: Final = "worker_cpu_ms"
# Fewer accepts that wait say nothing about what one costs.
_ENOUGH_WAITING: Final = 100


def figures(course: Course) -> dict[str, float]:
    """Return the values of a sample; events are those that were made while BETCORE was ill, and after."""
    events = {number: at for number, at in course.made_at.items() if number in course.credited_at}
    until = course.well_at if course.well_at is not None else float("inf")
    fresh_ms = [(course.credited_at[number] - at) * 1_000 for number, at in events.items() if at <= until]
    with_time = [number for number, at in events.items() if _had_time(course, at)]
    answered = [number for number in with_time if _is_answered(course, number)]
    sent = [number for number in course.arrivals if number in events]
    calls = [at for at in course.token_calls_at if course.ill_at <= at]
    values = {
        EVENTS: len(events),
        STILL_HAD_TIME: len(with_time),
        ANSWERED_OF_THEM: len(answered),
        "answered": sum(_is_answered(course, number) for number in events),
        REFUSED_EARLY: sum(0 <= at - course.ill_at <= FIRST_SECONDS for at in course.refused_at),
        "refused": len(course.refused_at),
        CREDIT_P50: percentile(fresh_ms, 0.50),
        CREDIT_P99: percentile(fresh_ms, 0.99),
        MOST_WAITING: course.most.waiting,
        **_memory(course),
        ACCEPTS_PER_EVENT: len(sent) / len(events),
        TOKEN_CALLS: len(calls),
        TOKEN_CALLS_PER_SECOND: most_in_a_second(calls),
        WORKER_CPU: 1_000 * course.worker_cpu_seconds / len(events),
    }
    return {name: float(value) for name, value in values.items()}


def most_in_a_second(moments: Sequence[float]) -> float:
    """Return the highest rate that two neighbours show, per second; where there is one alone, 1."""
    gaps = [later - earlier for earlier, later in pairwise(sorted(moments))]
    return 1 / max(min(gaps), 1e-9) if gaps else float(len(moments))


def _memory(course: Course) -> Mapping[str, float]:
    if course.most.waiting < _ENOUGH_WAITING:
        return {}
    more_mb = course.most.rss_mb - course.before.rss_mb
    return {
        "rss_mb_before": course.before.rss_mb,
        "rss_mb_at_most": course.most.rss_mb,
        KB_PER_ACCEPT: 1_024 * more_mb / course.most.waiting,
    }


def _had_time(course: Course, made_at: float) -> bool:
    return course.well_at is None or made_at + DEADLINE_SECONDS - course.well_at >= STILL_TIME_SECONDS


def _is_answered(course: Course, number: int) -> bool:
    at = course.acknowledged_at.get(number)
    in_time = at is not None and at - course.made_at[number] <= DEADLINE_SECONDS
    return in_time and number in course.answered
