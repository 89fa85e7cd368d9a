"""The attacker: `python -m tests.siege.senders.attacker PLAN.json`. Loopback only, its memory bounded."""

import asyncio
import json
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped]  # ships no type information
import uvloop

from tests.siege.errors import FilesTooFew
from tests.siege.senders.floods import Flood
from tests.siege.senders.junk import requests_of
from tests.siege.senders.plans import AttackOrders, Tally
from tests.siege.senders.stalls import Stall

MEMORY_BYTES: Final = 1024**3
_OTHER_FILES: Final = 64
_OF_REQUESTS: Final = frozenset({"flood", "burst"})


def bound_myself(connections: int) -> None:
    """Take MEMORY_BYTES more at most than now, and as many files as are needed; raises FilesTooFew."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    # Much of what Python and its libraries have by now is address space that they never use.
    limit = psutil.Process().memory_info().vms + MEMORY_BYTES
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    needed = connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise FilesTooFew(f"{needed} files are needed and {hard} allowed: raise the limit (ulimit -Hn)")
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


async def attack(orders: AttackOrders, requests: Sequence[bytes], begun: float, tally: Tally) -> None:
    """Attack from the moment that was agreed on, for as long as was agreed on."""
    begins_at = begun + orders.begins_after
    ends_at = begins_at + orders.seconds
    await asyncio.sleep(max(0.0, begins_at - time.monotonic()))
    if orders.kind == "nothing":
        await asyncio.sleep(max(0.0, ends_at - time.monotonic()))
    elif orders.kind in _OF_REQUESTS:
        await Flood(orders, requests, tally).run(ends_at)
    else:
        await Stall(orders, tally).run(ends_at)


def main(plan_path: Path) -> None:
    """Attack as the plan says, and write what was done."""
    orders = AttackOrders.read(plan_path)
    orders.hold_to_core()
    bound_myself(orders.connections)
    is_flood = orders.kind in _OF_REQUESTS
    requests = requests_of(orders.ammunition, token=orders.token, seed=orders.seed) if is_flood else []
    tally = Tally()
    uvloop.run(attack(orders, requests, orders.wait_for_go(), tally))
    orders.result_path.write_text(json.dumps(asdict(tally)), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
