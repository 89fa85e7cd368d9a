"""The job on taskiq: `taskiq worker tests.benchmarks.peers.taskiq_peer:create_broker --workers P …`.

PEER_MODE chooses what its documentation offers: the broker `stream` (acknowledged after the job, what it
recommends where no message may be lost) or `list` (no acknowledgement), each followed by `-async` (a
coroutine) or `-threads` (a function, which taskiq runs in its thread pool). uvloop, which taskiq takes by
itself where it is there.
"""

from typing import Final

from taskiq import AsyncBroker, SmartRetryMiddleware, TaskiqEvents, TaskiqState
from taskiq_redis import ListQueueBroker, RedisStreamBroker

from tests.benchmarks.peers.async_job import AsyncJob
from tests.benchmarks.peers.environment import QUEUE, TASK, PeerSettings
from tests.benchmarks.peers.job import Job

_THREADS: Final = "-threads"
# A worker that stands still while its queue is filled must not take its blocking read for a failed one.
_SOCKET_SECONDS: Final = 60.0


def create_broker() -> AsyncBroker:
    """Build the broker with its task; connects nothing before the worker starts."""
    settings = PeerSettings.from_environment()
    broker = bare_broker(settings).with_middlewares(SmartRetryMiddleware(default_retry_count=5))
    if settings.mode.endswith(_THREADS):
        _add_threaded(broker, settings)
    else:
        _add_async(broker, settings)
    return broker


def bare_broker(settings: PeerSettings) -> AsyncBroker:
    """Return the broker alone, which is all that a producer needs."""
    if settings.mode.startswith("list"):
        return ListQueueBroker(settings.redis_url, queue_name=QUEUE, socket_timeout=_SOCKET_SECONDS)
    # From the beginning of the stream: what was sent before the first worker came counts too.
    return RedisStreamBroker(
        settings.redis_url, queue_name=QUEUE, consumer_id="0", socket_timeout=_SOCKET_SECONDS
    )


def _add_async(broker: AsyncBroker, settings: PeerSettings) -> None:
    async def start(state: TaskiqState) -> None:
        state.job = await AsyncJob.open(settings)

    async def stop(state: TaskiqState) -> None:
        await state.job.close()

    async def settle(token: str, received_at_ms: int) -> None:
        await broker.state.job.run(token, received_at_ms)

    broker.add_event_handler(TaskiqEvents.WORKER_STARTUP, start)
    broker.add_event_handler(TaskiqEvents.WORKER_SHUTDOWN, stop)
    broker.register_task(settle, task_name=TASK, retry_on_error=True)


def _add_threaded(broker: AsyncBroker, settings: PeerSettings) -> None:
    def start(state: TaskiqState) -> None:
        state.job = Job.open(settings)

    def stop(state: TaskiqState) -> None:
        state.job.close()

    def settle(token: str, received_at_ms: int) -> None:
        broker.state.job.run(token, received_at_ms)

    broker.add_event_handler(TaskiqEvents.WORKER_STARTUP, start)
    broker.add_event_handler(TaskiqEvents.WORKER_SHUTDOWN, stop)
    broker.register_task(settle, task_name=TASK, retry_on_error=True)
