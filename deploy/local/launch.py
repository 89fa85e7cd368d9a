"""Become another program, as another user if asked, which dies with the process that started it.

A program of its own, run as `python -I -S launch.py PARENT_PID USER PROGRAM [ARGUMENT…]` (USER may be
empty), because the same steps in a `preexec_fn` would run Python between fork and exec, which is not safe
in a process with threads. The request to die has to come after the change of user: Linux forgets it then
(prctl(2), PR_SET_PDEATHSIG).
"""

import ctypes
import os
import pwd
import signal
import sys

_PR_SET_PDEATHSIG = 1
_CANNOT_EXECUTE = 127


def main(parent_pid: str, user: str, *argv: str) -> None:
    """Change user, ask to die with the parent, and become `argv`."""
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    if user:
        entry = pwd.getpwnam(user)
        os.initgroups(user, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    if libc is not None and libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != int(parent_pid):
        sys.exit("the process that started this one is gone")
    try:
        os.execvp(argv[0], argv)  # noqa: S606 -- to become the given program is what this one is for
    except OSError as error:
        print(f"{argv[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201 -- its log file is its parent's record
        sys.exit(_CANNOT_EXECUTE)


if __name__ == "__main__":
    main(*sys.argv[1:])
