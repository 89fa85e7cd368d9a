"""The worker's errors: one tree, each with a machine-readable `reason` that serves as metric label."""

from typing import ClassVar


class WorkerError(Exception):
    """The worker could not do what it was asked to."""

    reason: ClassVar[str] = "worker_error"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or self.reason).strip().splitlines()[0])
