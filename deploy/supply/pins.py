"""What a lock file pins."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PIN: Final = re.compile(r"([a-z0-9][a-z0-9.-]*)==([^\s;]+)(?: ; ([^\\]+?))? ?\\")


@dataclass(frozen=True, kw_only=True)
class Pin:
    """One package of a lock file; `marker` says on which machines it is installed, and is empty for all."""

    name: str
    version: str
    marker: str


def pins_of(lock: Path) -> tuple[Pin, ...]:
    """Return the packages of a lock file in its order."""
    found = (_PIN.match(line) for line in lock.read_text("utf-8").splitlines())
    return tuple(
        Pin(name=match[1], version=match[2], marker=match[3] or "") for match in found if match is not None
    )
