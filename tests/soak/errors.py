"""Errors of the soak: part of the local stack's tree."""

from deploy.local.errors import LocalError


class SoakError(LocalError):
    """The soak could not do what it was asked to."""

    reason = "soak_error"


class TooShort(SoakError):
    """The soak is too short to say anything of growth."""

    reason = "too_short"


class NoRule(SoakError):
    """A series was sampled that nothing says how to judge."""

    reason = "no_rule"


class SamplingFailed(SoakError):
    """What the soak looks at could not be looked at."""

    reason = "sampling_failed"
