"""The scenarios on hosts by name, in the order in which they run."""

from collections.abc import Callable, Mapping
from typing import Final

from tests.faults.hosts.scenarios import (
    distances,
    failovers,
    names,
    partitions,
    rewinds,
    tls,
)
from tests.faults.hosts.scene import HostScene

SCENARIOS: Final[Mapping[str, Callable[[HostScene], None]]] = {
    "two-racks": partitions.two_racks,
    "workers-without-redis": partitions.workers_without_redis,
    "workers-without-postgres": partitions.workers_without_postgres,
    "packets-lost": partitions.packets_lost,
    "far-away": distances.far_away,
    "betcore-two-addresses": names.betcore_two_addresses,
    "dns-hangs": names.dns_hangs,
    "valkey-failover": failovers.valkey_failover,
    "valkey-split-brain": failovers.valkey_split_brain,
    "postgres-standby-away": failovers.postgres_standby_away,
    "postgres-failover": failovers.postgres_failover,
    "postgres-split-brain": failovers.postgres_split_brain,
    "postgres-over-tls": tls.postgres_over_tls,
    "postgres-failover-asynchronous": rewinds.postgres_failover_asynchronous,
    "postgres-split-brain-asynchronous": rewinds.postgres_split_brain_asynchronous,
}

# The short form has three minutes in all. A rewind is looked for once a minute; PostgreSQL over TLS starts
# the service twice; and a split brain of Valkey is a failover that not everybody sees.
LONG_ONLY: Final = frozenset(
    {
        "valkey-failover",
        "postgres-over-tls",
        "postgres-failover-asynchronous",
        "postgres-split-brain-asynchronous",
    }
)
