"""Who says to act: what goes into the audit beside the database's own user."""

import getpass
import os
import platform
from typing import Final

PERSON_VARIABLE: Final = "CASHBACK_PERSON"
_MAX_CHARS: Final = 200


def person() -> str:
    """Return what the person at the command says of itself: CASHBACK_PERSON, or login and host.

    It is said and not proven: the audit has the user of the database's session beside it.
    """
    said = os.environ.get(PERSON_VARIABLE, "").strip() or f"{_login()}@{platform.node() or 'unknown'}"
    return "".join(character if character.isprintable() else "?" for character in said)[:_MAX_CHARS]


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A user without a name, as in many containers.
        return f"uid-{os.getuid()}"
