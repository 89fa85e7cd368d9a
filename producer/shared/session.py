"""How PostgreSQL is to plan the statements of connections that only look up rows by their keys.

Decision 14.
"""

from typing import Final

# A connection keeps its plans, those of functions and of the foreign keys' checks among them. On a day on
# which the tables are still empty the planner prefers to read them whole: a look-up by index stays right
# while they grow.
LASTING_PLANS: Final = " ".join(
    f"-c {setting}"
    for setting in (
        "plan_cache_mode=force_generic_plan",
        "enable_seqscan=off",
        "enable_hashjoin=off",
        "enable_mergejoin=off",
    )
)
"""libpq's `options` for it, to stand beside others."""
