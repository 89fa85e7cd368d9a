"""How far an import has come, and how long it will take. Pure: the clock is an argument."""

from collections.abc import Callable
from enum import Enum
from typing import Final

# What follows, as shares of the time in which the file was read into the database: the check, and a file of
# accounts that are all new, or stand all already. Decision 51 has the measurements, up to 1,000,000 rows.
CHECK_SHARE: Final = 0.25
NEW_SHARE: Final = 10.0
STANDING_SHARE: Final = 0.5


class Phase(Enum):
    """What an import is doing."""

    COPY = "reading"
    CHECK = "checking"
    APPLY = "opening accounts"


class ImportProgress:
    """What an import says of itself, and what follows from it; for one writer and one reader.

    `total_bytes` is the size of the file, None where nobody knows it. `clock` counts seconds.
    """

    def __init__(self, *, total_bytes: int | None, clock: Callable[[], float]) -> None:
        self._total_bytes = total_bytes or None
        self._clock = clock
        self._began = self._phase_began = clock()
        self._copy_seconds = 0.0
        self._apply_share = NEW_SHARE
        self._read_bytes = 0
        self.phase = Phase.COPY
        self.rows = 0

    def copied(self, *, rows: int, read_bytes: int) -> None:
        """Take note of how much of the file is in the database."""
        self.rows = rows
        self._read_bytes = read_bytes

    def checking(self) -> None:
        """Take note that the whole file is in the database."""
        self._copy_seconds = self._enter(Phase.CHECK)

    def applying(self, *, new_share: float) -> None:
        """Take note that the file has no fault, and how many of its accounts are new, from 0 to 1."""
        self._enter(Phase.APPLY)
        self._apply_share = new_share * NEW_SHARE + (1 - new_share) * STANDING_SHARE

    def _enter(self, phase: Phase) -> float:
        now = self._clock()
        lasted = now - self._phase_began
        self.phase = phase
        self._phase_began = now
        return lasted

    @property
    def rows_per_second(self) -> float:
        """How many rows were read a second, so far or in the end."""
        seconds = self._clock() - self._began if self.phase is Phase.COPY else self._copy_seconds
        return self.rows / seconds if seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """How long the rest will take, as if all accounts were new until that is known; None while unknown.

        Never below zero: it may take longer.
        """
        in_phase = self._clock() - self._phase_began
        if self.phase is Phase.COPY:
            if self._total_bytes is None or not self._read_bytes:
                return None
            whole = in_phase * max(1.0, self._total_bytes / self._read_bytes)
            return whole * (1 + CHECK_SHARE + self._apply_share) - in_phase
        if self.phase is Phase.CHECK:
            return (
                max(0.0, self._copy_seconds * CHECK_SHARE - in_phase) + self._copy_seconds * self._apply_share
            )
        return max(0.0, self._copy_seconds * self._apply_share - in_phase)

    @property
    def share(self) -> float:
        """How much of the time has passed, from 0 to 1; 0 while nobody can say."""
        left = self.seconds_left
        elapsed = self._clock() - self._began
        return 0.0 if left is None or elapsed + left <= 0 else elapsed / (elapsed + left)

    def sentence(self) -> str:
        """Say all of it in one line."""
        left = self.seconds_left
        if left is None:
            rest = "time left unknown"
        elif left < 1:
            rest = "nearly there"
        else:
            rest = f"{'about' if self.phase is Phase.APPLY else 'at most about'} {left:.0f} s left"
        return f"{self.phase.value}: {self.rows:,} rows, {self.rows_per_second:,.0f} rows/s, {rest}"
