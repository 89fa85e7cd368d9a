"""Fill a peer's queue through its own client: `python -m tests.benchmarks.peers.fill NAME < MESSAGES`.

Each line of the standard input is the JSON of one message of the contract. It runs in the peers' environment,
while their workers stand still; what it costs is not measured.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Final

from cashback_client.contract import SettleMessage
from tests.benchmarks.peers.environment import QUEUE, TASK, PeerSettings

_TOGETHER: Final = 200


def main(name: str) -> None:
    """Send all messages of the standard input to the queue of the peer `name`; raises KeyError."""
    fill = {"dramatiq": _fill_dramatiq, "taskiq": _fill_taskiq, "arq": _fill_arq}[name]
    messages = [SettleMessage.model_validate_json(line) for line in sys.stdin]
    fill(PeerSettings.from_environment(), messages)


def _fill_dramatiq(settings: PeerSettings, messages: Sequence[SettleMessage]) -> None:
    from dramatiq import Message  # noqa: PLC0415 - the peers do not share one environment
    from dramatiq.brokers.redis import RedisBroker  # noqa: PLC0415 - as above

    broker = RedisBroker(url=settings.redis_url)
    broker.declare_queue(QUEUE)
    for message in messages:
        broker.enqueue(
            Message(
                queue_name=QUEUE,
                actor_name=TASK,
                args=(message.token, message.received_at_ms),
                kwargs={},
                options={},
                message_id=str(message.event_id),
            )
        )
    broker.close()


def _fill_taskiq(settings: PeerSettings, messages: Sequence[SettleMessage]) -> None:
    from taskiq.kicker import AsyncKicker  # noqa: PLC0415 - the peers do not share one environment

    from tests.benchmarks.peers.taskiq_peer import bare_broker  # noqa: PLC0415 - as above

    async def send() -> None:
        broker = bare_broker(settings)
        await broker.startup()

        async def kick(message: SettleMessage) -> None:
            kicker = AsyncKicker(TASK, broker, labels={"retry_on_error": True})
            await kicker.with_task_id(str(message.event_id)).kiq(message.token, message.received_at_ms)

        await _in_groups(kick, messages)
        await broker.shutdown()

    asyncio.run(send())


def _fill_arq(settings: PeerSettings, messages: Sequence[SettleMessage]) -> None:
    from arq import create_pool  # noqa: PLC0415 - the peers do not share one environment
    from arq.connections import RedisSettings  # noqa: PLC0415 - as above

    async def send() -> None:
        pool = await create_pool(RedisSettings.from_dsn(settings.redis_url), default_queue_name=QUEUE)

        async def enqueue(message: SettleMessage) -> None:
            await pool.enqueue_job(TASK, message.token, message.received_at_ms, _job_id=str(message.event_id))

        await _in_groups(enqueue, messages)
        await pool.aclose()

    asyncio.run(send())


async def _in_groups(
    send: Callable[[SettleMessage], Awaitable[None]], messages: Sequence[SettleMessage]
) -> None:
    waiting = iter(messages)
    while group := list(islice(waiting, _TOGETHER)):
        await asyncio.gather(*map(send, group))


if __name__ == "__main__":
    main(*sys.argv[1:])
