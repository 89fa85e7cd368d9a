"""What a serving process sets of itself: its garbage collector, and how many files it may have open.

Decisions 11 and 13.
"""

import gc
import resource
from typing import Final

import structlog

_COLLECT_AFTER_OBJECTS: Final = 20_000
# Of all else: connections to Redis and BETCORE, who asks for metrics, logs, what is just being closed.
_OTHER_FILES: Final = 128

_log = structlog.get_logger(__name__)


def calm_collector() -> None:
    """Let the collector look less often, and never at what stands by now, for it stands for good.

    A make or an event leaves hardly any cycles behind: reference counts free it. A look at everything stops
    all threads for a tenth of a second. This is the process's, so it is called where the process is composed.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER_OBJECTS, 20, 20)


def connections_allowed(wanted: int, *, database_connections: int) -> int:
    """Return how many connections this process may have beside those to PostgreSQL: `wanted`, or fewer.

    They are open files, of which the usual limit is 1,024; the process raises its own where it may. Where the
    system allows less than is needed that is logged.
    """
    others = database_connections + _OTHER_FILES
    needed = wanted + others
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < needed:
        _log.warning(
            "open_files_few",
            allowed=allowed,
            needed=needed,
            what_to_do="raise the limit of open files (ulimit -Hn), or lower the settings that need them",
        )
    return max(1, min(wanted, allowed - others))
