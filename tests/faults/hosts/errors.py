"""What keeps the hosts from being built."""

from tests.faults.errors import FaultSuiteError


class HostsUnavailable(FaultSuiteError):
    """Hosts cannot be built on this machine."""

    reason = "hosts_unavailable"


class CommandFailed(FaultSuiteError):
    """A command that builds, cuts or changes a host failed."""

    reason = "command_failed"
