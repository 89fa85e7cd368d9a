"""All scenarios by name, in the order in which they run."""

from collections.abc import Callable, Mapping
from typing import Final

from tests.faults.scenarios import (
    betcore_faults,
    clocks,
    links,
    partners,
    points,
    postgres_faults,
    pressure,
    redis_faults,
    refusals,
    workers,
)
from tests.faults.scene import Scene

SCENARIOS: Final[Mapping[str, Callable[[Scene], None]]] = {
    "kill-workers": workers.kill_workers,
    "kill-worker-at-points": points.kill_worker_at_points,
    "term-workers": workers.term_workers,
    "worker-start-fails": workers.worker_start_fails,
    "kill-receiver": workers.kill_receiver,
    "redis-kill": redis_faults.redis_kill,
    "redis-empty": redis_faults.redis_empty,
    "redis-freeze": redis_faults.redis_freeze,
    "redis-half-open": redis_faults.redis_half_open,
    "redis-flushall": redis_faults.redis_flushall,
    "redis-gone-60s": redis_faults.redis_gone,
    "redis-disk-full": redis_faults.redis_disk_full,
    "queue-not-consumable": refusals.queue_not_consumable,
    "postgres-immediate": postgres_faults.postgres_immediate,
    "postgres-freeze": postgres_faults.postgres_freeze,
    "postgres-cuts": postgres_faults.postgres_cuts,
    "postgres-read-only": postgres_faults.postgres_read_only,
    "betcore-down": betcore_faults.betcore_down,
    "betcore-slow": betcore_faults.betcore_slow,
    "betcore-half": betcore_faults.betcore_half,
    "betcore-lost-reply": betcore_faults.betcore_lost_reply,
    "accept-hangs": betcore_faults.accept_hangs,
    "accept-slow-3s": betcore_faults.accept_slow,
    "token-hangs": betcore_faults.token_hangs,
    "two-racks": links.two_racks,
    "two-racks-crossed": links.two_racks_crossed,
    "workers-alone": links.workers_alone,
    "workers-without-redis": links.workers_without_redis,
    "redis-alone": links.redis_alone,
    "postgres-alone": links.postgres_alone,
    "clock-steps": clocks.clock_steps,
    "duplicates": pressure.duplicates,
    "overload": pressure.overload,
    "kill-workers-partner-messages": partners.kill_workers_partner_messages,
}

# The short form has four minutes in all: of each kind of fault it has one or two.
LONG_ONLY: Final = frozenset(
    {"redis-empty", "betcore-half", "two-racks-crossed", "workers-alone", "redis-alone", "postgres-alone"}
)
