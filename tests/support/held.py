"""What workers have in hand, as Redis has it."""

from typing import Any, cast

from worker.queue.transport.held import HELD, LANDING


def held(client: Any) -> int:  # noqa: ANN401 - redis-py's client, whose replies are typed for both of its kinds
    """Return how many entries workers have in hand."""
    noted = sum(client.hlen(key) for key in client.scan_iter(f"{HELD}*"))
    landed = sum(client.llen(key) for key in client.scan_iter(f"{LANDING}*"))
    return cast("int", noted + landed)
