"""What became of a copy of an event that could not be made."""

from typing import ClassVar

from producer.protocol.errors import ProducerError


class CopyFailed(ProducerError):
    """A copy of the event could not be made."""

    reason = "copy_failed"
    # Whether it speaks for the server being away, and so for how the next copies will fare.
    shows_away: ClassVar[bool] = False


class CopyTimedOut(CopyFailed):
    """A copy of the event was not certain in time; it may exist all the same, which does no harm."""

    reason = "copy_timed_out"
    shows_away = True


class ServerUnreachable(CopyFailed):
    """The server could not be reached, or the connection to it was lost."""

    shows_away = True
