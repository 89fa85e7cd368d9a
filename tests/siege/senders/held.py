"""`python -m tests.siege.senders.held CORE FILES COMMAND…`: a command on one core, with so many open files.

CORE or FILES is `-` where nothing is held to it.
"""

import os
import resource
import sys

if __name__ == "__main__":
    core, files, *command = sys.argv[1:]
    if core != "-":
        os.sched_setaffinity(0, {int(core)})
    if files != "-":
        # As `ulimit -n` does: both, so that the command cannot raise it.
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(files), int(files)))
    os.execvp(command[0], command)  # noqa: S606 -- the rig's own commands
