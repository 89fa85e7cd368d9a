"""Errors of the simulator: one tree, each with a machine-readable `reason`."""

from typing import ClassVar


class SimulatorError(Exception):
    """The simulator could not do what it was asked to."""

    reason: ClassVar[str] = "simulator_error"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or self.reason).strip().splitlines()[0])


class UnknownAction(SimulatorError):
    """A script holds an action that does not exist."""

    reason = "unknown_action"


class UnknownMake(SimulatorError):
    """No make has this make_id."""

    reason = "unknown_make"


class LogFull(SimulatorError):
    """The log has reached its limit; start a new simulator or raise the limit."""

    reason = "log_full"


class MalformedAccept(SimulatorError):
    """The accept's body is not what BETCORE's page describes."""

    reason = "malformed_accept"


class InvalidToken(SimulatorError):
    """The token is not one that this simulator would vouch for."""

    reason = "invalid_token"
