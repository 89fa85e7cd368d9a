"""BETCORE's illness: one cycle of well and ill times, over and over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """How BETCORE behaves for a share of a cycle: actions of the simulator, by endpoint."""

    name: str
    share: float
    behaviour: Mapping[str, str]

    @property
    def is_ill(self) -> bool:
        """Whether anything is wrong with it."""
        return set(self.behaviour.values()) != {"ok"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """A phase and when it begins and ends, in seconds since its cycle began."""

    phase: Phase
    begins_seconds: float
    ends_seconds: float


WELL: Final[Mapping[str, str]] = {"accept": "ok", "token": "ok", "jwks": "ok", "verify": "ok"}
# Shares are seconds of a cycle of one minute.
_WELL: Final = Phase(name="well", share=7, behaviour=WELL)
_FAILS: Final = Phase(name="half of the accepts fail", share=1, behaviour={**WELL, "accept": "503"})
_WORKS: Final = Phase(name="half of the accepts fail, the other half", share=1, behaviour=WELL)
CYCLE: Final[Sequence[Phase]] = (
    _WELL,
    Phase(name="slow", share=8, behaviour={**WELL, "accept": "slow:2"}),
    _WELL,
    *(_FAILS, _WORKS) * 4,
    Phase(name="bearers revoked", share=0.5, behaviour={**WELL, "accept": "401"}),
    _WELL,
    Phase(name="down", share=8, behaviour=dict.fromkeys(WELL, "drop")),
    _WELL,
    Phase(name="replies lost", share=4, behaviour={**WELL, "accept": "lost"}),
    Phase(name="half a reply", share=3, behaviour={**WELL, "accept": "half"}),
    _WELL,
)


def timed(cycle: Sequence[Phase], *, cycle_seconds: float) -> list[Timed]:
    """Lay the phases of a cycle out over so many seconds."""
    scale = cycle_seconds / sum(phase.share for phase in cycle)
    laid: list[Timed] = []
    begins = 0.0
    for phase in cycle:
        ends = begins + phase.share * scale
        laid.append(Timed(phase=phase, begins_seconds=begins, ends_seconds=ends))
        begins = ends
    return laid
