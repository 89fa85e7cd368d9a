"""The accepts of an event that were sent, as they are put on record. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

MAX_SAID_CHARS: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class SentAccept:
    """One accept that was sent, and what came of it.

    `duration_ms` counts from sending to the answer. `status` (of HTTP) and `code` (BETCORE's ErrorCode) are
    None where none came. `worker` is the process that sent it. `detail` is what BETCORE said, or why nothing
    came of it, in short.
    """

    sent_at: datetime
    duration_ms: int
    status: int | None
    code: int | None
    worker: str
    detail: str | None


SentAccepts = Sequence[SentAccept]
"""Those of one event, in the order in which they left."""


def in_short(text: str) -> str:
    """Return as much of a text as stands on record: one line that any database takes."""
    if len(text) <= MAX_SAID_CHARS and text.isprintable():
        return text.strip()
    # Whatever is no character to look at, NUL and halves of surrogate pairs among it, has no place in it.
    line = "".join(each if each.isprintable() else " " for each in text[: 10 * MAX_SAID_CHARS])
    short = " ".join(line.split())
    return short if len(short) <= MAX_SAID_CHARS else short[: MAX_SAID_CHARS - 1] + "…"
