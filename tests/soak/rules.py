"""What each series may do: which must not grow, which must grow with events, which are only stated."""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from deploy.local.environment import ROOT
from tests.soak.errors import NoRule

# Tables that hold rows for each event, for good or until their retention. Any other that grows, leaks.
GROW_WITH_EVENTS: Final = ("receipts*", "transactions", "entries", "*token*", "*attempt*")
_FLOWER_CONFIGURATION: Final = ROOT / "deploy/flowerconfig.py"
# Flower is full when it has seen as many tasks as it holds; its memory settles a little later.
_FLOWER_SETTLED: Final = 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How one series is judged; `unit` is that of its values as they are sampled.

    A series `per_event` counts up, and what it counts up by for each event must not grow; any other must stay
    at its level. Growth of an hour is material above `material_per_hour` and above `material_share` of the
    level. What stays below `quiet_below` is bounded by something else. The first `warm_up_events` events do
    not count, beyond the warm-up of the whole run. One that is not `judged` is only stated.
    """

    unit: str
    per_event: bool = False
    judged: bool = True
    material_per_hour: float = 0.0
    material_share: float = 0.0
    quiet_below: float = 0.0
    warm_up_events: int = 0

    def material(self, level: float) -> float:
        """Return how much growth in an hour is material for a series at this level."""
        return max(self.material_per_hour, self.material_share * abs(level))


def flower_tasks() -> int:
    """Return how many tasks Flower holds, by its configuration."""
    found = re.search(r"^max_tasks = ([\d_]+)", _FLOWER_CONFIGURATION.read_text("utf-8"), re.MULTILINE)
    return int(found[1]) if found else 0


def rule_for(name: str) -> Rule:
    """Return the rule of a series, such as `worker.1/private_mb`; raises NoRule."""
    group, _, rest = name.partition("/")
    if group == "table":
        table, _, value = rest.rpartition("/")
        grows = any(fnmatchcase(table, pattern) for pattern in GROW_WITH_EVENTS)
        rules = _GROWING_TABLE if grows else _STANDING_TABLE
        return rules[value]
    for pattern, rule in _RULES.items():
        if fnmatchcase(name, pattern):
            return rule
    raise NoRule(f"{name} has no rule; say in {__name__} whether it may grow")


_STATED_TABLE: Final = {
    "bytes_per_row": Rule(unit="bytes", judged=False),
    "dead_per_row": Rule(unit="rows", judged=False),
    "heap_bytes": Rule(unit="bytes", per_event=True, judged=False),
    "index_bytes": Rule(unit="bytes", per_event=True, judged=False),
    "dead": Rule(unit="rows", judged=False),
}
_GROWING_TABLE: Final = _STATED_TABLE | {
    "rows": Rule(unit="rows", per_event=True, material_share=0.05),
    "bytes_per_row": Rule(unit="bytes", material_share=0.10),
    # Autovacuum lets 0.2 of the rows be dead before it comes.
    "dead_per_row": Rule(unit="rows", material_per_hour=0.1, quiet_below=0.3),
}
_STANDING_TABLE: Final = _STATED_TABLE | {
    "rows": Rule(unit="rows", material_per_hour=10),
    # What the updates between two vacuums take, and use again after them.
    "heap_bytes": Rule(unit="bytes", material_per_hour=2_000_000, quiet_below=2_000_000),
    "index_bytes": Rule(unit="bytes", material_per_hour=2_000_000, quiet_below=2_000_000),
    "dead": Rule(unit="rows", material_per_hour=5_000, quiet_below=20_000),
}
# The first that matches counts.
_RULES: Final = {
    # It keeps each make and accept in memory, for the checks at the end.
    "simulator/*": Rule(unit="", judged=False),
    "flower/private_mb": Rule(
        unit="MB", material_per_hour=8, warm_up_events=round(_FLOWER_SETTLED * flower_tasks())
    ),
    "*/private_mb": Rule(unit="MB", material_per_hour=4),
    "*/pss_mb": Rule(unit="MB", judged=False),
    "*/rss_mb": Rule(unit="MB", judged=False),
    "*/threads": Rule(unit="threads", material_per_hour=2),
    "*/processes": Rule(unit="processes", material_per_hour=2),
    # Each backend opens a table's file when it first reads it.
    "postgres/descriptors": Rule(unit="descriptors", material_per_hour=40),
    "*/descriptors": Rule(unit="descriptors", material_per_hour=4),
    # Another program on the machine makes each millisecond dearer: `make bench` judges this.
    "*/cpu_ms": Rule(unit="ms", per_event=True, judged=False),
    "postgres/connections": Rule(unit="connections", material_per_hour=2),
    "postgres/other_mb": Rule(unit="MB", material_per_hour=4),
    # Dearer after each checkpoint, by the pages that it writes whole.
    "postgres/wal_bytes": Rule(unit="bytes", per_event=True, judged=False),
    "redis/connections": Rule(unit="connections", material_per_hour=4),
    "redis/memory_mb": Rule(unit="MB", material_per_hour=2),
    "redis/keys": Rule(unit="keys", material_per_hour=20),
    "redis/queued": Rule(unit="entries", material_per_hour=100, quiet_below=1_000),
    "redis/aof_base_mb": Rule(unit="MB", material_per_hour=2),
    "redis/aof_bytes": Rule(unit="bytes", per_event=True, material_share=0.10),
    "log.*/bytes": Rule(unit="bytes", per_event=True, material_share=0.10, quiet_below=10),
    "log.*/lines": Rule(unit="lines", per_event=True, material_share=0.10, quiet_below=0.05),
}
