"""Errors of the fault suite: one tree, each with a machine-readable `reason`."""

from deploy.local.errors import LocalError


class FaultSuiteError(LocalError):
    """The fault suite could not do what it was asked to."""

    reason = "fault_suite_error"


class LoadFailed(FaultSuiteError):
    """The simulator did not send a make that it was asked to send."""

    reason = "load_failed"


class PointNotReached(FaultSuiteError):
    """The path never came to the point at which a fault was to be injected."""

    reason = "point_not_reached"


class ProxyFailed(FaultSuiteError):
    """The proxy could not be started."""

    reason = "proxy_failed"
