"""What became of a copy of an event that could not be made."""

from producer.protocol.errors import ProducerError


class CopyFailed(ProducerError):
    """A copy of the event could not be made."""

    reason = "copy_failed"


class CopyTimedOut(CopyFailed):
    """A copy of the event was not certain in time; it may exist all the same, which does no harm."""

    reason = "copy_timed_out"
