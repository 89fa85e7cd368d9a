"""What is asked of Redis, and what its answers mean."""

from collections.abc import Sequence
from typing import Final

from redis.exceptions import NoPermissionError

from producer.client.contract import QUEUE

Command = tuple[str | bytes | float, ...]

RECEIVER_NEEDS: Final[tuple[Command, ...]] = (("LPUSH", QUEUE, b""),)
"""What the receiver asks of Redis."""

MAY_TRY: Final[tuple[Command, ...]] = (("MULTI",), ("DISCARD",))
"""Whether `tried` may be sent: without the right to MULTI its commands would be run."""


def tried(commands: Sequence[Command]) -> tuple[Command, ...]:
    """Return what has Redis say of these commands whether it would run them; none of them is run.

    Before it queues a command of a transaction, Redis looks whether the user may run it on these keys,
    whether there is memory and disk for it, and whether it is the primary.
    """
    return (MAY_TRY[0], *commands, MAY_TRY[1])


def is_refusal(error: Exception) -> bool:
    """Whether Redis does not let this user run the command, or does not know it."""
    return isinstance(error, NoPermissionError) or str(error).lower().startswith("unknown command")


def first_error(replies: Sequence[object]) -> Exception | None:
    """Return the first reply that is an error."""
    return next((reply for reply in replies if isinstance(reply, Exception)), None)
