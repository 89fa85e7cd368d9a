"""A target under inputs that Hypothesis makes."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
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


def generated(target: Target, *, cases: int, seed: int, directory: Path) -> Outcome:
    """Give a target so many inputs; the smallest that it fails on is kept as a file."""
    tried = _Tried(target.check)

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
        tried(data)

    try:
        whatever()
    except Exception:
        if tried.failed_on is None:
            raise
        return Outcome(tried.cases, keep(directory, target, tried.failed_on), traceback.format_exc())
    return Outcome(tried.cases)


class _Tried:
    """Counts, and remembers the last input that failed: Hypothesis ends with the smallest."""

    def __init__(self, check: Callable[[bytes], None]) -> None:
        self._check = check
        self.cases = 0
        self.failed_on: bytes | None = None

    def __call__(self, data: bytes) -> None:
        """Try an input."""
        self.cases += 1
        try:
            self._check(data)
        except Exception:
            self.failed_on = data
            raise
