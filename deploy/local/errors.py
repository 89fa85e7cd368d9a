"""Errors of the local stack: one tree, each with a machine-readable `reason`."""

from typing import ClassVar


class LocalError(Exception):
    """The local stack could not do what it was asked to."""

    reason: ClassVar[str] = "local_error"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or self.reason).strip().splitlines()[0])


class ProcessAlreadyRuns(LocalError):
    """The process has been started and still runs."""

    reason = "process_already_runs"


class ProcessNotRunning(LocalError):
    """The process does not run."""

    reason = "process_not_running"


class ProcessDied(LocalError):
    """The process ended while something waited for it to become ready."""

    reason = "process_died"


class ProcessFailed(LocalError):
    """A process that had to end well ended with another status."""

    reason = "process_failed"


class NotReadyInTime(LocalError):
    """What was waited for did not come true in time."""

    reason = "not_ready_in_time"


class DirectoryInUse(LocalError):
    """Another run uses this directory."""

    reason = "directory_in_use"


class NoFreePort(LocalError):
    """No free TCP port was found."""

    reason = "no_free_port"
