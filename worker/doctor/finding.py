"""One thing that was looked at, and what was found."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from producer.shared.preconditions.verdict import Kind, Verdict


class Level(StrEnum):
    """How it stands, the worst first."""

    FAULT = "fault"
    """Something does not work, or will not: it must be mended."""
    ADVICE = "advice"
    """It works, and holds less than it could, or wants a look."""
    UNCHECKED = "unchecked"
    """It could not be looked at from here."""
    GOOD = "good"


ORDER: Final = tuple(Level)
_OF_KIND: Final = {
    Kind.FATAL: Level.FAULT,
    Kind.PASSING: Level.FAULT,
    Kind.UNKNOWN: Level.ADVICE,
    Kind.ADVICE: Level.ADVICE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`name` is one of a fixed set; `what_to_do` is the command or the setting that mends it."""

    part: str
    name: str
    level: Level
    what: str
    what_to_do: str | None = None


class NotGiven(Exception):
    """A check lacks a setting; the text names it."""


def good(part: str, name: str, what: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(part=part, name=name, level=Level.GOOD, what=what)


def advice(part: str, name: str, what: str, what_to_do: str) -> Finding:
    """Return a finding that something could be better."""
    return Finding(part=part, name=name, level=Level.ADVICE, what=what, what_to_do=what_to_do)


def fault(part: str, name: str, what: str, what_to_do: str) -> Finding:
    """Return a finding that something is broken."""
    return Finding(part=part, name=name, level=Level.FAULT, what=what, what_to_do=what_to_do)


def unchecked(part: str, name: str, why: str, what_to_do: str | None = None) -> Finding:
    """Return that something was not looked at, and why."""
    what = f"not checked: {why}"
    return Finding(part=part, name=name, level=Level.UNCHECKED, what=what, what_to_do=what_to_do)


def of_verdict(part: str, verdict: Verdict) -> Finding:
    """Return what a process would say of it at its start."""
    return Finding(
        part=part,
        name=verdict.name,
        level=_OF_KIND[verdict.kind],
        what=verdict.what,
        what_to_do=verdict.what_to_do,
    )
