"""The worker's errors: one tree, each with a machine-readable `reason` that serves as metric label."""

from typing import ClassVar


class WorkerError(Exception):
    """The worker could not do what it was asked to."""

    reason: ClassVar[str] = "worker_error"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or self.reason).strip().splitlines()[0])


class DeadlineExceeded(WorkerError):
    """BETCORE did not acknowledge the accept before the deadline."""

    reason = "deadline_exceeded"


class RefusedByBetcore(WorkerError):
    """BETCORE refused the accept for good (103752); sending it again cannot help."""

    reason = "refused"


class PayoutNotHere(WorkerError):
    """The cancel waits for the payout of its CashbackId."""

    reason = "payout_not_here"


class AcceptFailed(WorkerError):
    """The accept got no answer that settles the event; it is sent again."""

    reason = "accept_failed"


class LedgerUnavailable(WorkerError):
    """PostgreSQL did not answer; whether the last call took effect is asked again, never guessed."""

    reason = "ledger_unavailable"


class LedgerNotWhole(LedgerUnavailable):
    """The database's schema is not whole, as after half a restore: nothing is settled until it is."""

    reason = "ledger_not_whole"


class CutoffPassed(WorkerError):
    """The credit cut-off passed during the call, which was undone."""

    reason = "cutoff_passed"


class BearerUnavailable(WorkerError):
    """The Token endpoint gave no access token."""

    reason = "bearer_unavailable"

    def __init__(self, message: str | None = None, *, retry_after_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class CredentialsRefused(BearerUnavailable):
    """BETCORE's Token endpoint refuses our credentials."""

    reason = "credentials_refused"


class BadMessage(WorkerError):
    """The message's arguments are not those of cashback.settle."""

    reason = "bad_message"


class FutureVersion(BadMessage):
    """The message is of a later version than this worker takes."""

    reason = "future_version"


class NotFound(WorkerError):
    """What was asked for is not on record."""

    reason = "not_found"
