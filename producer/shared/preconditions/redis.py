"""What is asked of Redis, and what its answers mean.

Nothing is written: a transaction that is discarded says whether its commands would be run.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)

from cashback_client.contract import QUEUE, RETRY_QUEUE
from producer.shared.preconditions.verdict import CONFIRM_REFUSAL_SECONDS, Kind, Verdict
from producer.shared.settings.environment import ENV_PREFIX

Command = tuple[str | bytes | float, ...]
Check = Generator[Sequence[Command], Sequence[object], list[Verdict]]
"""Gives commands, and is sent the reply to each, an error where it is one; returns what is wrong.

All of them go through one connection.
"""

RECEIVER_NEEDS: Final[tuple[Command, ...]] = (("LPUSH", QUEUE, b""),)
"""What the receiver asks of Redis."""

_BEGIN: Final[Command] = ("MULTI",)
_DISCARD: Final[Command] = ("DISCARD",)
_SETTING: Final = f"{ENV_PREFIX}REDIS_URL"
_SCRIPT: Final = "return 1"
_SCRIPT_DIGEST: Final = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"
_CLUSTER_ERRORS: Final = (AskError, ClusterCrossSlotError)
_PASSING: Final = {
    "READONLY": ("it is a replica, which takes no writes", "name its primary, or its sentinels"),
    "OOM": ("its memory is full", "raise maxmemory, or take away what fills it"),
    "MISCONF": ("it cannot write to its disk", "make room there, and look at its log"),
    "MASTERDOWN": ("it is a replica that has lost its primary", "name the primary, or bring it back"),
    "LOADING": ("it is still loading its data", "wait until it has"),
}
"""By the code of its error: what it means, and what to do."""
_KNOWN_CODES: Final[Mapping[str, type[Exception]]] = {
    "READONLY": ReadOnlyError,
    "OOM": OutOfMemoryError,
    "MASTERDOWN": MasterDownError,
    "LOADING": BusyLoadingError,
}


def worker_needs(  # noqa: PLR0913 - keys, keyword-only
    *, leases: str, held: str, landing: str, returned: str, celery: Sequence[str], events: str
) -> tuple[Command, ...]:
    """Return what a worker asks of Redis, with its own keys, Celery's, and the channel of its task events."""
    return (
        ("BLMOVE", QUEUE, landing, "RIGHT", "LEFT", 0.1),
        ("EVAL", _SCRIPT, 6, leases, held, landing, returned, RETRY_QUEUE, QUEUE),
        ("EVALSHA", _SCRIPT_DIGEST, 6, leases, held, landing, returned, RETRY_QUEUE, QUEUE),
        ("EVALSHA", _SCRIPT_DIGEST, len(celery), *celery),
        ("RPOP", QUEUE),
        ("HSET", held, "field", b""),
        ("HDEL", held, "field"),
        ("ZADD", leases, 0, "member"),
        ("LPUSH", RETRY_QUEUE, b""),
        ("RPUSH", returned, b""),
        ("PUBLISH", events, b""),
        # What the sweeper looks at: without it events would all go straight from their receipts.
        ("LINDEX", QUEUE, -1),
        ("LPOS", QUEUE, b""),
        ("LRANGE", QUEUE, -1, -1),
        ("LLEN", RETRY_QUEUE),
        ("ZRANGE", leases, 0, -1),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What Redis says of commands: why they were not tried, or the first error; neither: it runs them."""

    not_tried: Exception | None
    error: Exception | None


def tried(commands: Sequence[Command]) -> Generator[Sequence[Command], Sequence[object], Tried]:
    """Have Redis say of these commands whether it would run them; none of them is run.

    Before it queues a command of a transaction, Redis looks whether the user may run it on these keys,
    whether there is memory and disk for it, and whether it is the primary. Where it begins no transaction it
    would run them, so they are sent only when it has begun one, and through the same connection.
    """
    [begun] = yield (_BEGIN,)
    if isinstance(begun, Exception):
        return Tried(not_tried=begun, error=None)
    replies = yield (*commands, _DISCARD)
    return Tried(not_tried=None, error=first_error(replies[:-1]))


def redis_check(needs: Sequence[Command], *, needs_multi: bool) -> Check:
    """Return the check of what a process with these needs must find."""
    cluster, memory = yield (("INFO", "cluster"), ("INFO", "memory"))
    verdicts = [*_of_cluster(cluster), *_of_memory(memory)]
    found = yield from tried(needs)
    if found.not_tried is not None and not needs_multi and is_refusal(found.not_tried):
        what = "whether the queue may be written"
        return [*verdicts, _unknown("redis_rights", what, "MULTI", found.not_tried)]
    if error := found.not_tried or found.error:
        verdicts.append(of_error(error))
    return verdicts


def is_refusal(error: Exception) -> bool:
    """Whether Redis does not let this user run the command, or does not know it."""
    return isinstance(error, NoPermissionError) or _is_not_known(error)


def first_error(replies: Sequence[object]) -> Exception | None:
    """Return the first reply that is an error."""
    return next((reply for reply in replies if isinstance(reply, Exception)), None)


def of_error(error: Exception) -> Verdict:
    """Return what an error means for a process that needs what was asked."""
    text = " ".join(str(error).split())
    if isinstance(error, AuthenticationError | AuthenticationWrongNumberOfArgsError | NoPermissionError):
        return Verdict(
            name="redis_refused",
            kind=Kind.FATAL,
            what=f"Redis refuses the service's user ({text})",
            what_to_do=f"correct the login in {_SETTING}, or let the user run what the service needs "
            "(README, Run it)",
            confirm_seconds=CONFIRM_REFUSAL_SECONDS,
        )
    if _is_of_a_cluster(error):
        return _is_a_cluster(text)
    if _is_not_known(error):
        return Verdict(
            name="redis_version",
            kind=Kind.FATAL,
            what=f"Redis does not know a command that the service needs ({text})",
            what_to_do="run Redis 6.2 or later, or Valkey, without a proxy that knows fewer commands",
        )
    return _passing(error, text)


def _passing(error: Exception, text: str) -> Verdict:
    code = next((code for code in _PASSING if _has_code(error, code)), None)
    if code is None and isinstance(error, ResponseError):
        return Verdict(
            name="redis_refuses_commands",
            kind=Kind.PASSING,
            what=f"Redis refuses what the service needs ({text})",
            what_to_do="look at its log; it is asked again",
        )
    if code is None:
        return Verdict(
            name="redis_unreachable",
            kind=Kind.PASSING,
            what=f"Redis cannot be reached ({type(error).__name__}: {text})",
            what_to_do=f"check {_SETTING} and that it runs; it is asked again",
        )
    why, what_to_do = _PASSING[code]
    return Verdict(
        name="redis_takes_no_writes",
        kind=Kind.PASSING,
        what=f"Redis takes no writes: {why}",
        what_to_do=f"{what_to_do}; it is asked again",
    )


def _has_code(error: Exception, code: str) -> bool:
    """Whether Redis answered with this code; redis-py takes those that it knows out of the text."""
    kind = _KNOWN_CODES.get(code)
    return str(error).startswith(code) or (kind is not None and isinstance(error, kind))


def _is_of_a_cluster(error: Exception) -> bool:
    is_down = isinstance(error, ClusterDownError) and not isinstance(error, MasterDownError)
    return is_down or isinstance(error, _CLUSTER_ERRORS)


def _is_not_known(error: Exception) -> bool:
    return str(error).lower().startswith("unknown command")


def _is_a_cluster(detail: str) -> Verdict:
    return Verdict(
        name="redis_cluster",
        kind=Kind.FATAL,
        what=f"Redis runs in cluster mode ({detail}), where one command reaches one part of the keys",
        what_to_do=f"let {_SETTING} name a Redis without cluster mode, behind sentinels if need be",
    )


def _of_cluster(reply: object) -> list[Verdict]:
    if isinstance(reply, Exception):
        return [_unknown("redis_cluster", "whether Redis runs in cluster mode", "INFO cluster", reply)]
    enabled = _field(reply, "cluster_enabled")
    return [_is_a_cluster("cluster_enabled:1")] if str(enabled) == "1" else []


def _of_memory(reply: object) -> list[Verdict]:
    """Look at the eviction policy, which INFO tells also where CONFIG is forbidden."""
    name = "redis_eviction"
    if isinstance(reply, Exception):
        return [_unknown(name, "the eviction policy", "INFO memory", reply)]
    policy = _field(reply, "maxmemory_policy")
    if policy is None:
        return [_unknown(name, "the eviction policy", "INFO memory", None)]
    if policy == "noeviction":
        return []
    return [
        Verdict(
            name=name,
            kind=Kind.PASSING,
            what=f"Redis may throw messages away when its memory is full (maxmemory-policy {policy})",
            what_to_do="set maxmemory-policy noeviction (redis-cli CONFIG SET, and its configuration file)",
        )
    ]


def _field(reply: object, name: str) -> Any:  # noqa: ANN401 - whatever Redis says
    return reply.get(name) if isinstance(reply, Mapping) else None


def _unknown(name: str, what: str, command: str, error: Exception | None) -> Verdict:
    why = "is not told" if error is None else f"may not be asked ({command}: {error})"
    return Verdict(
        name=name,
        kind=Kind.UNKNOWN,
        what=f"{what} {why}",
        what_to_do="see to it yourself: no cluster mode, noeviction, the rights that the README names",
    )
