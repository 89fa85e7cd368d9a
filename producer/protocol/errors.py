"""The producer's errors: one tree, each with a machine-readable `reason` that serves as metric label."""

from typing import ClassVar


class ProducerError(Exception):
    """The producer could not do what it was asked to."""

    reason: ClassVar[str] = "producer_error"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or self.reason).strip().splitlines()[0])


class CopyFailed(ProducerError):
    """A copy of the event could not be made."""

    reason = "copy_failed"


class CopyTimedOut(CopyFailed):
    """A copy of the event was not certain in time; it may exist all the same, which does no harm."""

    reason = "copy_timed_out"
