"""What the table of an ill BETCORE works out of what was seen."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.benchmarks.ill import figures, table
from tests.benchmarks.ill.path import Course, Look
from tests.benchmarks.measure import Sample, Table

# When BETCORE is well again one event has long ended, one has too little time, one enough; one comes later.
COURSE = Course(
    ill_at=100.0,
    well_at=140.0,
    made_at={1: 101.0, 2: 111.0, 3: 111.5, 4: 141.0},
    refused_at=[99.0, 124.0, 126.0],
    credited_at={1: 101.010, 2: 111.020, 3: 111.530, 4: 143.0},
    answered=frozenset({3, 4}),
    acknowledged_at={3: 140.5, 4: 141.1},
    arrivals=[1, 2, 3, 3, 4, 77],
    token_calls_at=[99.5, 100.0, 102.0, 102.5],
    most_open=3,
    before=Look(waiting=0, rss_mb=100.0),
    most=Look(waiting=200, rss_mb=104.0),
    worker_cpu_seconds=0.02,
)


def test_events_count_by_whether_they_still_had_time_when_betcore_was_well_again() -> None:
    values = figures.figures(COURSE)

    assert (values[figures.EVENTS], values[figures.STILL_HAD_TIME], values[figures.ANSWERED_OF_THEM]) == (
        4,
        2,
        2,
    )
    assert values["answered"] == 2


@pytest.mark.parametrize(
    "changed",
    [
        {"acknowledged_at": {3: 142.0, 4: 141.1}},
        {"acknowledged_at": {4: 141.1}},
        {"answered": frozenset({4})},
    ],
    ids=["too late", "not by BETCORE", "not by the books"],
)
def test_answered_is_what_betcore_acknowledged_in_time_and_the_books_say(
    changed: Mapping[str, object],
) -> None:
    values = figures.figures(replace(COURSE, **changed))  # type: ignore[arg-type]  # each of its own type

    assert values[figures.ANSWERED_OF_THEM] == 1


def test_an_illness_that_does_not_end_takes_time_from_nobody() -> None:
    assert figures.figures(replace(COURSE, well_at=None))[figures.STILL_HAD_TIME] == 4


def test_credits_are_timed_while_betcore_is_ill_and_refusals_in_its_first_seconds() -> None:
    values = figures.figures(COURSE)

    assert values[figures.CREDIT_P99] == pytest.approx(30.0)
    assert (values[figures.REFUSED_EARLY], values["refused"]) == (1, 3)


def test_accepts_count_per_event_and_token_calls_by_their_shortest_pause() -> None:
    values = figures.figures(COURSE)

    assert values[figures.ACCEPTS_PER_EVENT] == 5 / 4
    assert values[figures.TOKEN_CALLS] == 3
    assert values[figures.TOKEN_CALLS_PER_SECOND] == 2
    assert (figures.most_in_a_second([]), figures.most_in_a_second([5.0])) == (0, 1)


def test_memory_counts_where_many_accepts_waited() -> None:
    few = replace(COURSE, most=Look(waiting=3, rss_mb=104.0))

    assert figures.figures(COURSE)[figures.KB_PER_ACCEPT] == pytest.approx(20.48)
    assert figures.KB_PER_ACCEPT not in figures.figures(few)


def _table(**changed: Mapping[str, float]) -> Table:
    values = figures.figures(COURSE)
    samples = [
        Sample(row=row, round=number, values=values | dict(changed.get(key, {})))
        for key, row in _ROWS.items()
        for number in range(2)
    ]
    return Table(name="ill", title="", unit="event", samples=tuple(samples))


_ROWS = {
    "accept_hangs": table.ACCEPT_HANGS,
    "token_hangs": table.TOKEN_HANGS,
    "slow": table.SLOW,
    "young": table.YOUNG,
    "token_fails": table.TOKEN_FAILS,
    "unauthorized": table.UNAUTHORIZED,
    "well": table.ALL_WELL,
    "once": table.FAILS_ONCE,
}


def test_a_bar_is_held_against_the_worst_of_the_rows_that_it_is_for() -> None:
    assert set(_ROWS.values()) == set(table.CASES)

    ratios = table.ratios(
        _table(
            token_hangs={figures.CREDIT_P99: 700.0, figures.REFUSED_EARLY: 4.0},
            slow={figures.ANSWERED_OF_THEM: 1.0, figures.ACCEPTS_PER_EVENT: 1.5},
            unauthorized={figures.TOKEN_CALLS_PER_SECOND: 3.0},
            once={figures.WORKER_CPU: 7.5},
        )
    )

    assert ratios == {
        "ill_credit_p99_ms": 700,
        "ill_refused": 4,
        "ill_answered": 0.5,
        "ill_last_moments": 1,
        "ill_accepts_per_event": 1.5,
        "ill_token_calls_per_second": 3,
        "ill_retry_vs_event": 0.5,
    }


def test_a_quick_run_shortens_what_lasts_and_nothing_that_happens_to_one_event() -> None:
    case = table.CASES[table.ACCEPT_HANGS]

    short = table.shortened(case)

    assert short.ill_seconds == 8.0
    assert short.makes_seconds == pytest.approx(9.6)
    assert short.behaviour == case.behaviour
    assert table.shortened(table.CASES[table.SLOW]).ill_seconds is None
