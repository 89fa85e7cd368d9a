"""The processes: workers that hold leases in Redis, and the receiver's own word on whether it is ready."""

import json
from collections.abc import Mapping
from typing import Any, Final

import httpx

from cashback_client.contract import QUEUE, RETRY_QUEUE
from producer.protocol.reply import ReplyUnreadable, read_bounded
from producer.shared.outgoing import http_client
from worker.doctor.finding import Finding, fault, good
from worker.doctor.redis import client
from worker.queue.transport.held import LEASES, RETURNED

_WORKERS: Final = "workers"
_RECEIVER: Final = "receiver"
_MAX_LEASES: Final = 10_000
_MAX_NAMED: Final = 5
_START: Final = "start it (Procfile: `worker`), and look at the end of its log: it says there why it ended"
_READY_BYTES: Final = 65_536


def check_leases(timeout_seconds: float) -> list[Finding]:
    """Look at the leases by which workers hold what they have taken: who is alive renews its own."""
    with client(timeout_seconds) as connected:
        whole, micros = connected.time()
        leases: Any = connected.zrange(LEASES, 0, _MAX_LEASES, withscores=True)
        waiting = sum(int(connected.llen(name)) for name in (QUEUE, RETRY_QUEUE, RETURNED))
    now_ms = whole * 1_000 + micros / 1_000
    alive = [_worker(owner) for owner, ends in leases if ends > now_ms]
    dead = {_worker(owner): (now_ms - ends) / 1_000 for owner, ends in leases if ends <= now_ms}
    if not alive:
        what = f"no worker is alive, and {waiting} messages wait" if waiting else "no worker is alive"
        return [fault(_WORKERS, "workers_none", f"{what}{_of_the_dead(dead)}", _START)]
    findings = [good(_WORKERS, "workers", f"{len(alive)} workers are alive: {_named(alive)}")]
    if dead:
        what = f"{len(dead)} workers have died or hang{_of_the_dead(dead)}"
        findings.append(fault(_WORKERS, "worker_dead", what, _START))
    return findings


def _worker(owner: bytes) -> str:
    """Return host and process id of a lease's owner, `host:pid:random@queue`."""
    return owner.decode(errors="replace").rpartition("@")[0].rpartition(":")[0][:80]


def _of_the_dead(dead: Mapping[str, float]) -> str:
    if not dead:
        return ""
    said = (f"{name}'s lease ended {seconds:,.0f} s ago" for name, seconds in list(dead.items())[:_MAX_NAMED])
    return f" ({', '.join(said)})"


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(names[:_MAX_NAMED]) + more


def check_receiver(url: str, timeout_seconds: float) -> list[Finding]:
    """Ask a receiver whether it can take events."""
    ask = f"{url.rstrip('/')}/readyz"
    mend = f"start it (Procfile: `web`), or correct --receiver-url: curl -i {ask}"
    try:
        with http_client() as http, http.stream("GET", ask, timeout=timeout_seconds) as response:
            content = read_bounded(response, max_bytes=_READY_BYTES)
    except (httpx.HTTPError, httpx.InvalidURL, ReplyUnreadable) as error:
        what = f"the receiver does not answer ({type(error).__name__}: {error})"
        return [fault(_RECEIVER, "receiver_unreachable", what, mend)]
    parts = _parts(content)
    if response.status_code == httpx.codes.OK:
        return [good(_RECEIVER, "receiver", "the receiver is ready to take events")]
    if parts is None:
        what = f"what answers there is no receiver: HTTP {response.status_code}"
        return [fault(_RECEIVER, "receiver_unreachable", what, mend)]
    wrong = ", ".join(f"{name} is {state}" for name, state in parts.items() if state != "ok")
    what = f"the receiver cannot take events: {wrong}"
    return [fault(_RECEIVER, "receiver_not_ready", what, "mend that part; it is ready again by itself")]


def _parts(content: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(content)
    except ValueError:
        return None
    parts = document.get("parts", document) if isinstance(document, dict) else None
    return parts if isinstance(parts, dict) else None
