"""What a worker does beside its sweeps from time to time. A job that fails holds up no other one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from prometheus_client import Gauge

from producer.protocol.keys import KeySet
from producer.shared.redis.processes import TELL_SECONDS, ProcessRecord, tell
from worker.errors import LedgerUnavailable
from worker.ledger.wholeness import Wholeness
from worker.recovery.broker import Broker, BrokerUnavailable
from worker.recovery.overdue import OverdueReceipts
from worker.recovery.snapshots import SnapshotWatch
from worker.recovery.standbys import Standbys

_BOUND_SECONDS: Final = 10.0
# Walks past all that was closed since the oldest snapshot.
_BELOW_BOUND_SECONDS: Final = 600.0
_SNAPSHOT_SECONDS: Final = 60.0
_STANDBYS_SECONDS: Final = 60.0
_WHOLENESS_SECONDS: Final = 10.0
_UNCONFIRMED_SECONDS: Final = 30.0
_RETRY_SECONDS: Final = 10.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something that is done again `every_seconds`; it may raise LedgerUnavailable or BrokerUnavailable.

    So may `at_end`, which is done once when the worker ends in good order.
    """

    name: str
    every_seconds: float
    run: Callable[[], object]
    at_end: Callable[[], object] | None = None


class Upkeep:
    """Runs the jobs that are due. For one thread; every worker may have one."""

    def __init__(self, jobs: Sequence[Job], *, monotonic: Callable[[], float]) -> None:
        self._jobs: Final = tuple(jobs)
        self._monotonic = monotonic
        self._due_at = {job.name: monotonic() for job in jobs}

    def run(self) -> None:
        """Run each job whose time has come. One that fails is tried again soon, and not with every sweep."""
        for job in self._jobs:
            if self._monotonic() < self._due_at[job.name]:
                continue
            self._due_at[job.name] = self._monotonic() + job.every_seconds
            if not _is_done(job.name, job.run):
                self._due_at[job.name] = self._monotonic() + min(job.every_seconds, _RETRY_SECONDS)

    def close(self) -> None:
        """Do what is to be done at the end."""
        for job in self._jobs:
            if job.at_end is not None:
                _is_done(job.name, job.at_end)


def _is_done(name: str, run: Callable[[], object]) -> bool:
    try:
        run()
    except (LedgerUnavailable, BrokerUnavailable) as error:
        _log.warning("upkeep_failed", job=name, reason=error.reason, error=str(error))
        return False
    return True


def upkeep_jobs(
    overdue: OverdueReceipts,
    snapshots: SnapshotWatch,
    standbys: Standbys,
    wholeness: Wholeness,
    unconfirmed: Gauge,
) -> list[Job]:
    """Return the jobs of a worker. The look below the bound comes first, as it moves the bound down."""
    return [
        Job(name="look_below_bound", every_seconds=_BELOW_BOUND_SECONDS, run=overdue.look_below_bound),
        Job(name="raise_bound", every_seconds=_BOUND_SECONDS, run=overdue.raise_bound),
        Job(name="look_at_snapshots", every_seconds=_SNAPSHOT_SECONDS, run=snapshots.look),
        Job(name="look_at_standbys", every_seconds=_STANDBYS_SECONDS, run=standbys.look),
        Job(name="look_at_schema", every_seconds=_WHOLENESS_SECONDS, run=wholeness.look),
        Job(
            name="count_unconfirmed",
            every_seconds=_UNCONFIRMED_SECONDS,
            run=lambda: unconfirmed.set(overdue.unconfirmed()),
        ),
    ]


def tell_of_process(broker: Broker, record: ProcessRecord, keys: KeySet) -> Job:
    """Return the job that says in Redis that this worker is there."""
    return Job(
        name="tell_of_process",
        every_seconds=TELL_SECONDS,
        run=lambda: broker.ask(lambda client: tell(client, record, keys_age_seconds=keys.age_seconds)),
        at_end=lambda: broker.ask(lambda client: client.execute_command(*record.farewell())),
    )
