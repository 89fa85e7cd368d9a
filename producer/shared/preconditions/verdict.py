"""What was found wrong with something that a process needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

CONFIRM_SECONDS: Final = 30.0
"""For how long a fatal verdict must be found again before it ends a process that runs."""
CONFIRM_REFUSAL_SECONDS: Final = 600.0
"""The same for a password or a right that is refused: who changes it may be about to change both sides."""
NEVER: Final = float("inf")


class Kind(Enum):
    """What is to become of the process."""

    FATAL = "fatal"
    """It cannot do its work, and waiting does not help."""
    PASSING = "passing"
    """It goes on, and finds out when that has ended."""
    UNKNOWN = "unknown"
    """It may not be asked."""
    ADVICE = "advice"
    """It works, and holds less than it could."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One precondition that does not hold, or is not known to; those that hold have none.

    `name` is one of a fixed set; `what` says what was found, `what_to_do` what an operator is to do. A fatal
    one that was found again and again for `confirm_seconds` ends a process that runs.
    """

    name: str
    kind: Kind
    what: str
    what_to_do: str
    confirm_seconds: float = CONFIRM_SECONDS

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        return f"{self.what}: {self.what_to_do}"


class Unmet(Exception):
    """A process must not start. The text is a sentence for an operator."""


def raise_if_fatal(verdicts: Sequence[Verdict]) -> None:
    """Raise Unmet where one of them is fatal."""
    fatal = [verdict.sentence for verdict in verdicts if verdict.kind is Kind.FATAL]
    if fatal:
        raise Unmet("; ".join(fatal))
