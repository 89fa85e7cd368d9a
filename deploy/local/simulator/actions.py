"""How the simulator is to behave: actions, and scripts of them, one consumed per call."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from deploy.local.simulator.errors import UnknownAction

MAX_SLOW_SECONDS: Final = 600.0
MAX_SCRIPT_ACTIONS: Final = 100
_SLOW: Final = "slow"
# Of any endpoint: an honest answer, HTTP failures, broken connections, and answers in no known shape.
_COMMON: Final = frozenset({"ok", _SLOW, "500", "503", "drop", "half", "redirect", "html"})
# Of accept alone: BETCORE's codes, a revoked bearer, and an acknowledgement that is lost on the way.
_ACCEPT: Final = frozenset({"102823", "103752", "401", "lost"})

Key = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Action:
    """One behaviour. `seconds` is how long `slow` waits.

    One that `repeats` is never used up, or `for_seconds` after it was first taken.
    """

    name: str
    seconds: float = 0.0
    repeats: bool = False
    for_seconds: float | None = None

    def __str__(self) -> str:
        return f"{self.name}:{self.seconds:g}" if self.name == _SLOW else self.name


OK: Final = Action("ok", repeats=True)


def parse_action(text: str, *, for_accept: bool = True) -> Action:
    """Read an action such as `ok`, `503*`, `503*30` or `slow:2.5`; raises UnknownAction."""
    word, star, for_text = text.partition("*")
    name, colon, seconds_text = word.partition(":")
    known = _COMMON | _ACCEPT if for_accept else _COMMON
    if name not in known or bool(colon) != (name == _SLOW):
        raise UnknownAction(
            f"{text!r} is none of {', '.join(sorted(known))} (slow:SECONDS; * repeats, *SECONDS for as long)"
        )
    return Action(
        name,
        _seconds(text, seconds_text) if colon else 0.0,
        repeats=bool(star),
        for_seconds=_seconds(text, for_text) if for_text else None,
    )


def _seconds(text: str, seconds_text: str) -> float:
    try:
        seconds = float(seconds_text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= MAX_SLOW_SECONDS:
        raise UnknownAction(f"{text!r}: the seconds must lie between 0 and {MAX_SLOW_SECONDS:g}")
    return seconds


class Scripts:
    """What accept does next, per (CashbackId, TransactionType); where a script ends, the default goes on.

    `clock` gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.default = OK
        self._clock = clock
        self._scripts: dict[Key, deque[Action]] = {}
        self._until: dict[Key, float] = {}

    def set(self, key: Key, actions: Sequence[Action]) -> None:
        """Replace the script of a key."""
        self._until.pop(key, None)
        self._scripts[key] = deque(actions, maxlen=MAX_SCRIPT_ACTIONS)

    def take(self, key: Key) -> Action:
        """Return the next action of a key, and use it up unless it repeats (for as long as it does)."""
        script = self._scripts.get(key)
        if not script:
            return self.default
        if not script[0].repeats:
            return script.popleft()
        if script[0].for_seconds is None:
            return script[0]
        now = self._clock()
        if now < self._until.setdefault(key, now + script[0].for_seconds):
            return script[0]
        script.popleft()
        del self._until[key]
        return self.take(key)
