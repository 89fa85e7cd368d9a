"""All slips of docs/partners.md, under the headings that they have there."""

import sys
from collections.abc import Mapping, Sequence
from typing import Final

from tests.support.shop import Slip
from tests.support.slips_in_arguments import MEMBERS, TIMES, TOKENS
from tests.support.slips_in_envelopes import BODIES, HEADERS, OPTIONS, UNREADABLE

BY_HEADING: Final[Mapping[str, Sequence[Slip]]] = {
    "The time of receipt": TIMES,
    "The token": TOKENS,
    "The other arguments": MEMBERS,
    "What is no envelope": UNREADABLE,
    "The body": BODIES,
    "Headers and properties": HEADERS,
    "Celery's options, and other lists": OPTIONS,
}
SLIPS: Final = tuple(slip for slips in BY_HEADING.values() for slip in slips)

BEGIN: Final = "<!-- slips -->\n"
END: Final = "<!-- /slips -->\n"


def tables() -> str:
    """Return the part of the paper between BEGIN and END; `python -m tests.support.slips` prints it."""
    parts = []
    for heading, slips in BY_HEADING.items():
        head = "| what you sent | what becomes of it | what to do |\n|---|---|---|\n"
        parts.append(f"\n### {heading}\n\n{head}" + "".join(f"{slip.row()}\n" for slip in slips))
    return "".join(parts) + "\n"


if __name__ == "__main__":
    sys.stdout.write(tables())
