"""Errors of the siege: part of the local stack's tree."""

from deploy.local.errors import LocalError


class SiegeError(LocalError):
    """The siege could not do what it was asked to."""

    reason = "siege_error"


class NotLoopback(SiegeError):
    """An attack was aimed at, or was to come from, an address that is not this machine's own."""

    reason = "not_loopback"


class FilesTooFew(SiegeError):
    """An attack needs more open files than the system allows."""

    reason = "files_too_few"


class SenderFailed(SiegeError):
    """What sends the honest makes or the attack did not do its work, so its figures mean nothing."""

    reason = "sender_failed"


class TokensUsedUp(SiegeError):
    """The receiver took more honest makes than were signed beforehand."""

    reason = "tokens_used_up"
