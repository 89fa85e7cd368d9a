"""The processes: who is there, what they run, and the receiver's own word on whether it is ready."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import httpx
from pydantic import Field, TypeAdapter, ValidationError

from cashback_client.contract import QUEUE, RETRY_QUEUE
from producer.protocol.reply import ReplyUnreadable, read_bounded
from producer.shared.outgoing import http_client
from producer.shared.redis.processes import MAX_PROCESSES, PROCESSES, SILENT_SECONDS, version
from worker.doctor.finding import Finding, advice, fault, good, unchecked
from worker.doctor.redis import client
from worker.queue.transport.held import LEASES, RETURNED

_PROCESSES: Final = "processes"
_RECEIVER: Final = "receiver"
_MAX_NAMED: Final = 5
_START: Final = "start it (Procfile: `worker`), and look at the end of its log: it says there why it ended"
_START_ALL: Final = "start all anew with the same settings, which `cashback config check` shows for each"
_READY_BYTES: Final = 65_536
# In which a worker that starts has no lease yet.
_STARTING_SECONDS: Final = 15.0


# What stands there anybody can have written who may write to Redis.
Text = Annotated[str, Field(max_length=255)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A process as it described itself last; times are Unix seconds."""

    kind: Text
    host: Text
    pid: int
    version: Text
    started_at: float
    seen_at: float
    settings: Text
    agreed: Text
    keys_age_seconds: float | None
    keys_max_age_seconds: float

    @property
    def name(self) -> str:
        """What it is called."""
        return f"{self.kind} {self.address}"

    @property
    def address(self) -> str:
        """Host and process id, as its lease has them."""
        return f"{self.host}:{self.pid}"


def check_processes(timeout_seconds: float) -> list[Finding]:
    """Look at the leases by which workers hold what they take, and at what each process says of itself."""
    with client(timeout_seconds) as connected:
        whole, micros = connected.time()
        leases: Any = connected.zrange(LEASES, 0, MAX_PROCESSES, withscores=True)
        waiting = sum(int(connected.llen(name)) for name in (QUEUE, RETRY_QUEUE, RETURNED))
        fields: Any = connected.hscan(PROCESSES, 0, count=MAX_PROCESSES)[1]
    now_ms = whole * 1_000 + micros / 1_000
    alive = [_worker(owner) for owner, ends in leases if ends > now_ms]
    lost = {_worker(owner): (now_ms - ends) / 1_000 for owner, ends in leases if ends <= now_ms}
    seen = read_records(fields)
    # By Redis' clock, as the leases: this machine's may be wrong, which `clock` tells.
    return [*_workers(alive, lost, waiting), *of_records(seen, leases=frozenset(alive), now=now_ms / 1_000)]


def _worker(owner: bytes) -> str:
    """Return host and process id of a lease's owner, `host:pid:random@queue`."""
    return owner.decode(errors="replace").rpartition("@")[0].rpartition(":")[0][:80]


def _workers(alive: list[str], lost: Mapping[str, float], waiting: int) -> Iterator[Finding]:
    said = [f"{name}'s lease ended {seconds:,.0f} s ago" for name, seconds in lost.items()]
    died = f" ({_named(said)})" if said else ""
    if not alive:
        what = f"no worker is alive, messages that wait: {waiting}" if waiting else "no worker is alive"
        yield fault(_PROCESSES, "workers_none", f"{what}{died}", _START)
        return
    yield good(_PROCESSES, "workers", f"workers alive: {len(alive)} ({_named(alive)})")
    if died:
        yield fault(_PROCESSES, "worker_dead", f"workers that have died or hang: {len(lost)}{died}", _START)


def read_records(fields: Mapping[bytes, bytes]) -> list[Seen]:
    """Return what processes say of themselves; what is nothing of theirs is passed over."""
    adapter = TypeAdapter(Seen)
    found = []
    for said in fields.values():
        with contextlib.suppress(ValidationError):
            found.append(adapter.validate_json(said))
    return sorted(found, key=lambda each: each.name)


def of_records(seen: Sequence[Seen], *, leases: frozenset[str], now: float) -> Iterator[Finding]:
    """Return what follows from what processes say; `leases` are the addresses of workers that hold one."""
    dead = [each for each in seen if _is_dead(each, leases, now)]
    living = [each for each in seen if each not in dead]
    yield from _dead(dead, living, now)
    if not living:
        yield unchecked(
            _PROCESSES, "processes", "no process has said that it is there", "start it, in this version"
        )
        return
    yield from _different(living)
    for each in living:
        yield from _keys(each, now)
    oldest = datetime.fromtimestamp(min(each.started_at for each in living), UTC)
    told = f"{_named([each.name for each in living])}; the oldest since {oldest:%Y-%m-%d %H:%M} UTC"
    yield good(_PROCESSES, "processes", told)


def _is_dead(each: Seen, leases: frozenset[str], now: float) -> bool:
    has_no_lease = each.kind == "worker" and each.address not in leases
    return now - each.seen_at > SILENT_SECONDS or (has_no_lease and now - each.started_at > _STARTING_SECONDS)


def _dead(dead: Sequence[Seen], living: Sequence[Seen], now: float) -> Iterator[Finding]:
    for each in dead[:_MAX_NAMED]:
        what = (
            f"{each.name} was last heard of {now - each.seen_at:,.0f} s ago: it died, hangs, or takes nothing"
        )
        if any(
            other.kind == each.kind and other.host == each.host and other.started_at >= each.seen_at
            for other in living
        ):
            yield advice(
                _PROCESSES, "process_replaced", f"{what}; another took its place", "see its log for why"
            )
        else:
            yield fault(_PROCESSES, "process_dead", what, "start it anew, and see its log for why")


def _different(living: Sequence[Seen]) -> Iterator[Finding]:
    versions = _by(living, "version")
    own = version()
    if len(versions) > 1:
        yield advice(
            _PROCESSES,
            "versions_differ",
            f"versions differ: {_told(versions)}",
            "end the deployment: start the older ones anew",
        )
    elif own not in versions:
        what = f"this command is version {own}, and the processes are {_told(versions)}"
        yield advice(_PROCESSES, "versions_differ", what, "run the command of the same version")
    agreed = _by(living, "agreed")
    if len(agreed) > 1:
        what = f"settings on which all must agree differ (digests): {_told(agreed)}"
        yield fault(_PROCESSES, "settings_differ", what, _START_ALL)
        return
    for kind in ("receiver", "worker"):
        settings = _by([each for each in living if each.kind == kind], "settings")
        if len(settings) > 1:
            what = f"settings of {kind}s differ (digests): {_told(settings)}"
            yield advice(_PROCESSES, "settings_differ", what, _START_ALL)


def _keys(each: Seen, now: float) -> Iterator[Finding]:
    age = each.keys_age_seconds
    if age is None:
        if now - each.started_at > SILENT_SECONDS:
            what = f"{each.name} has no keys of BETCORE's"
            yield fault(_PROCESSES, "process_keys", what, "see what is said of BETCORE's keys")
    elif age + now - each.seen_at >= each.keys_max_age_seconds:
        what = f"{each.name} has keys of BETCORE's of {age:,.0f} s ago, which have expired and are not used"
        yield fault(_PROCESSES, "process_keys", what, "see what is said of BETCORE's keys")


def _by(seen: Sequence[Seen], attribute: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in seen:
        found.setdefault(str(getattr(each, attribute)), []).append(each.name)
    return found


def _told(groups: Mapping[str, list[str]]) -> str:
    return "; ".join(f"{value} ({_named(names)})" for value, names in list(groups.items())[:_MAX_NAMED])


def _named(names: Sequence[str]) -> str:
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
    if parts is None:
        what = f"what answers there is no receiver: HTTP {response.status_code}"
        return [fault(_RECEIVER, "receiver_unreachable", what, mend)]
    if response.status_code == httpx.codes.OK:
        return [good(_RECEIVER, "receiver", "the receiver is ready to take events")]
    wrong = ", ".join(f"{name} is {state}" for name, state in parts.items() if state != "ok")
    what = f"the receiver cannot take events: {wrong}"
    return [fault(_RECEIVER, "receiver_not_ready", what, "mend that part; it is ready again by itself")]


def _parts(content: bytes) -> Mapping[str, Any] | None:
    try:
        parts = json.loads(content)["parts"]
    except (ValueError, LookupError, TypeError):
        return None
    return parts if isinstance(parts, dict) else None
