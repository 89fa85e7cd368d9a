"""What a clock says is judged by the least that it can be off."""

import pytest

from worker.doctor.clock import of_clock


@pytest.mark.parametrize(
    ("says", "verdict"),
    [
        ((100.0, 101.0), "good"),
        ((102.9, 103.9), "good"),
        ((103.1, 104.1), "advice"),
        ((106.9, 107.9), "advice"),
        ((107.1, 108.1), "fault"),
        ((97.9, 98.9), "advice"),
        ((93.8, 94.8), "fault"),
    ],
)
def test_a_date_is_judged_by_what_is_certain(says: tuple[float, float], verdict: str) -> None:
    found = of_clock("BETCORE", before=100.0, after=102.0, says=says)

    assert found.level.value == verdict


def test_it_says_which_clock_is_ahead() -> None:
    assert "this machine is behind" in of_clock("Redis", before=0, after=0, says=(9, 9)).what
    assert "this machine is ahead" in of_clock("Redis", before=9, after=9, says=(0, 0)).what
