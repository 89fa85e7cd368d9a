"""What it means that parts of the schema are missing, as after half a restore. Decision 52."""

from collections.abc import Sequence
from typing import Final, LiteralString

from producer.shared.preconditions.verdict import Kind, Verdict

NOT_WHOLE: Final = "CB002"
"""The SQLSTATE of what refuses to settle for that (worker/schema/functions/schema.sql)."""
MISSING_PARTS: Final[LiteralString] = "SELECT missing_parts()"
"""One row: what is missing, for `why_not_whole`. For a database whose state has nothing against it."""

WHOLE_AGAIN: Final = (
    "a restore is under way or broke off: let it end, or restore into a new database; see "
    "docs/operating/backup.md"
)
"""What to do about it."""

_MAX_NAMED: Final = 5


def why_not_whole(missing: Sequence[str]) -> str | None:
    """Return why nothing is settled where these parts are missing; None where none is."""
    if not missing:
        return None
    first, more = ", ".join(missing[:_MAX_NAMED]), len(missing) - _MAX_NAMED
    named = f"{first} and {more} more" if more > 0 else first
    return f"the schema is not whole, and nothing is settled: missing are {named}"


def of_parts(missing: Sequence[str]) -> list[Verdict]:
    """Return what it means for a process; it ends none, as the end of a restore ends it."""
    why = why_not_whole(missing)
    if why is None:
        return []
    return [
        Verdict(
            name="schema_not_whole",
            kind=Kind.PASSING,
            what=why,
            what_to_do=WHOLE_AGAIN,
        )
    ]
