"""The garbage collector of a serving process: it looks seldom, and not at what stands for good.

Decisions 11 and 13.
"""

import gc
from typing import Final

_COLLECT_AFTER_OBJECTS: Final = 20_000


def calm_collector() -> None:
    """Let the collector look less often, and never at what stands by now, for it stands for good.

    A make or an event leaves hardly any cycles behind: reference counts free it. A look at everything stops
    all threads for a tenth of a second. This is the process's, so it is called where the process is composed.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER_OBJECTS, 20, 20)
