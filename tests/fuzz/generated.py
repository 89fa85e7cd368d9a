"""A target under inputs that Hypothesis makes."""

import traceback
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded

from tests.fuzz.inputs import inputs
from tests.fuzz.kept import keep
from tests.fuzz.target import Target


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many cases a target had, and the smallest input that it failed on, if any."""

    cases: int
    found: Path | None = None
    error: str = ""


class CheckFailed(Exception):
    """A check did not hold for `data`; its cause says why."""

    def __init__(self, data: bytes) -> None:
        super().__init__(f"{len(data)} bytes")
        self.data = data


def generated(target: Target, *, cases: int, seed: int, directory: Path) -> Outcome:
    """Give a target so many inputs; the smallest that it fails on is kept as a file.

    Raises what Hypothesis itself fails with: a check that fails by turns, say.
    """
    tried = count()

    @seeded(seed)
    @settings(
        max_examples=cases,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
    )
    @given(inputs(target))
    def whatever(data: bytes) -> None:
        next(tried)
        try:
            target.check(data)
        except Exception as error:
            raise CheckFailed(data) from error

    try:
        whatever()
    except CheckFailed as failed:
        return Outcome(next(tried), keep(directory, target, failed.data), traceback.format_exc())
    return Outcome(next(tried))
