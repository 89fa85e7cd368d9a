"""From what the honest senders noted and what was seen of the receiver to the figures of one attack. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from tests.benchmarks.measure import percentile
from tests.siege.senders.makes import PATIENCE_SECONDS, Record

_MS: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Phases:
    """One run of honest makes: how long each part of it is, in seconds, one after the other.

    The calm is for what the attack leaves behind; neither it nor the warm-up is counted.
    """

    warm_up: float
    before: float
    attack: float
    calm: float
    after: float

    @property
    def attack_begins(self) -> float:
        """When the attack begins."""
        return self.warm_up + self.before

    @property
    def attack_ends(self) -> float:
        """When it ends."""
        return self.attack_begins + self.attack

    @property
    def seconds(self) -> float:
        """How long all of it is."""
        return self.attack_ends + self.calm + self.after

    def windows(self) -> dict[str, tuple[float, float]]:
        """Return the beginning and the end of each part that is counted."""
        return {
            "before": (self.warm_up, self.attack_begins),
            "attack": (self.attack_begins, self.attack_ends),
            "after": (self.attack_ends + self.calm, self.seconds),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The honest makes of one part. `answered`: with 200, within PATIENCE_SECONDS."""

    seconds: float
    makes: int
    answered: int
    refused: int
    lost: int
    p50_ms: float | None
    p99_ms: float | None

    @property
    def per_second(self) -> float:
        """How many were answered in a second."""
        return self.answered / self.seconds

    @property
    def share(self) -> float:
        """Which part of them was answered."""
        return self.answered / self.makes if self.makes else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The receiver at one moment, by the machine's monotonic clock."""

    at: float
    rss_mb: float
    cpu_seconds: float
    log_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The receiver over one run; `cpu` is the share of a core that it took in each part."""

    rss_before_mb: float
    rss_greatest_mb: float
    rss_after_mb: float
    log_bytes: int
    cpu: dict[str, float]


def window_of(records: Sequence[Record], begin: float, end: float) -> Window:
    """Return what became of the makes between two moments."""
    within = [record for record in records if begin <= record[0] < end]
    answered = [ms for _, status, ms in within if status == HTTPStatus.OK and ms <= PATIENCE_SECONDS * _MS]
    return Window(
        seconds=end - begin,
        makes=len(within),
        answered=len(answered),
        refused=sum(status == HTTPStatus.SERVICE_UNAVAILABLE for _, status, _ in within),
        lost=sum(status == 0 for _, status, _ in within),
        p50_ms=percentile(answered, 0.5) if answered else None,
        p99_ms=percentile(answered, 0.99) if answered else None,
    )


def windows_of(records: Sequence[Record], phases: Phases) -> dict[str, Window]:
    """Return each part that is counted."""
    return {name: window_of(records, *window) for name, window in phases.windows().items()}


def ratio_of(windows: dict[str, Window]) -> float:
    """Return honest makes under attack ÷ before, each a second."""
    before = windows["before"].per_second
    return windows["attack"].per_second / before if before else 0.0


def seen_in(looks: Sequence[Look], phases: Phases, *, begun: float) -> Seen:
    """Return what the looks say; needs one at least."""
    from_attack_on = [look for look in looks if look.at >= begun + phases.attack_begins] or [looks[-1]]
    before = _look_at(looks, begun + phases.attack_begins)
    return Seen(
        rss_before_mb=before.rss_mb,
        rss_greatest_mb=max(look.rss_mb for look in from_attack_on),
        rss_after_mb=looks[-1].rss_mb,
        log_bytes=_look_at(looks, begun + phases.attack_ends + phases.calm).log_bytes - before.log_bytes,
        cpu={
            name: _cpu_share(_look_at(looks, begun + begin), _look_at(looks, begun + end))
            for name, (begin, end) in phases.windows().items()
        },
    )


def _look_at(looks: Sequence[Look], moment: float) -> Look:
    """Return the last look before a moment, or the first one."""
    return next((look for look in reversed(looks) if look.at <= moment), looks[0])


def _cpu_share(first: Look, last: Look) -> float:
    seconds = last.at - first.at
    return (last.cpu_seconds - first.cpu_seconds) / seconds if seconds > 0 else 0.0
