"""The job on dramatiq: `dramatiq tests.benchmarks.peers.dramatiq_peer:set_up --processes P --threads T`.

As its guide has it: a RedisBroker with the default middleware (retries with backoff, time and age limits) and
one actor, which runs in threads and is acknowledged when it is done. No results, as nobody reads them.
"""

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from tests.benchmarks.peers.environment import QUEUE, TASK, PeerSettings
from tests.benchmarks.peers.job import Job


class OpenJob(dramatiq.Middleware):  # type: ignore[misc]  # no types without its environment
    """Opens the job before the threads of a worker process start, and closes it after they have ended."""

    def __init__(self, settings: PeerSettings) -> None:
        self._settings = settings
        self._job: Job | None = None

    @property
    def job(self) -> Job:
        """The job of the running worker; raises RuntimeError where none runs."""
        if self._job is None:
            raise RuntimeError("the worker is not running")
        return self._job

    def before_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:  # noqa: ARG002 - dramatiq's
        """Open it."""
        self._job = Job.open(self._settings)

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:  # noqa: ARG002 - dramatiq's
        """Close it."""
        self.job.close()


def set_up() -> RedisBroker:
    """Build the broker and its actor; `dramatiq` calls this in each worker process."""
    settings = PeerSettings.from_environment()
    broker = RedisBroker(url=settings.redis_url)
    opened = OpenJob(settings)
    broker.add_middleware(opened)
    dramatiq.set_broker(broker)

    @dramatiq.actor(actor_name=TASK, queue_name=QUEUE, broker=broker)  # type: ignore[untyped-decorator]  # as above
    def settle(token: str, received_at_ms: int) -> None:
        opened.job.run(token, received_at_ms)

    return broker
