"""The scenarios on hosts by name, in the order in which they run."""

from collections.abc import Callable, Mapping
from typing import Final

from tests.faults.hosts import failovers, partitions
from tests.faults.hosts.partitions import HostScene

SCENARIOS: Final[Mapping[str, Callable[[HostScene], None]]] = {
    "two-racks": partitions.two_racks,
    "workers-without-redis": partitions.workers_without_redis,
    "workers-without-postgres": partitions.workers_without_postgres,
    "packets-lost": partitions.packets_lost,
    "valkey-failover": failovers.valkey_failover,
    "valkey-split-brain": failovers.valkey_split_brain,
    "postgres-standby-away": failovers.postgres_standby_away,
    "postgres-failover": failovers.postgres_failover,
}
