"""A worker that takes entries as a channel does, on a Valkey of its own."""

from collections.abc import Mapping, Sequence
from typing import Any

import redis

from worker.queue.transport.held import (
    LEASES,
    GivenBack,
    Holder,
    Taken,
    give_back_of_the_gone,
    read_given_back,
)
from worker.queue.transport.lease import seconds_running
from worker.queue.transport.multi import Command

QUEUE = "fresh"


OTHER = "other"


# No lease ends by itself while a test runs: the tests end them.
LONG_SECONDS = 3_600.0


class Worker:
    """Takes entries as a channel does."""

    def __init__(self, client: redis.Redis, *queues: str, weights: Mapping[str, int] | None = None) -> None:
        self.client = client
        self.holder = Holder(queues or [QUEUE], lease_seconds=LONG_SECONDS, weights=weights or {})
        self.holder.ask(queues or [QUEUE])

    def take(
        self,
        room: int = 10,
        *,
        partners_room: int | None = None,
        landed: str = "",
        let_go: Sequence[str] = (),
    ) -> list[Taken]:
        sent_at = seconds_running()
        command = self.holder.take(
            room=room, partners_room=partners_room, landed=landed, let_go=let_go, is_known=False
        )
        return self.holder.read_taken(run(self.client, command), sent_at=sent_at)

    def wait(self) -> Taken:
        return self.holder.landed(run(self.client, self.holder.wait(120)))

    def dies(self) -> None:
        """Let its lease end, as it does when nothing is heard of it any more."""
        end_all(self.client, LEASES)


def scores(client: Any, key: str) -> dict[bytes, float]:  # noqa: ANN401 - the same
    """Return the members of a sorted set and their scores."""
    return dict(client.zrange(key, 0, -1, withscores=True))


def end_all(client: Any, key: str) -> None:  # noqa: ANN401 - redis-py's replies are typed for both of its clients
    """Let the time of all members have come."""
    put_all(client, key, at=1)


def put_all(client: Any, key: str, *, at: int) -> None:  # noqa: ANN401 - the same
    """Let this be the time of all members."""
    client.zadd(key, dict.fromkeys(client.zrange(key, 0, -1), at))


def run(client: redis.Redis, command: Command) -> Any:  # noqa: ANN401 - what Redis replies
    return client.execute_command(*command)  # type: ignore[no-untyped-call]


def push(client: redis.Redis, *entries: bytes, queue: str = QUEUE) -> None:
    """Put entries onto a queue, the first of them to be taken first."""
    client.lpush(queue, *entries)


def give_back_of_others(client: redis.Redis) -> GivenBack:
    return read_given_back(run(client, give_back_of_the_gone()))


def raws(taken: Sequence[Taken]) -> list[bytes]:
    return [each.raw for each in taken]
