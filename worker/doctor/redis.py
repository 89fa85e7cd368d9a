"""Redis: reachable, with the rights that a worker needs, on disk, with room, and evicting nothing."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import redis
from celery import Celery

from producer.shared.preconditions.redis import RECEIVER_NEEDS
from producer.shared.redis.broker import broker_configuration
from producer.shared.redis.processes import TELLS
from producer.shared.settings.servers import RedisSettings
from worker.broker_client import client_of
from worker.doctor.finding import Finding, advice, fault, good, of_verdict, unchecked
from worker.doctor.settings import given
from worker.queue.preconditions import check_redis, needs_of

_PART: Final = "redis"
_LEAST_VERSION: Final = (6, 2)
_FULL_SHARE: Final = 0.95
_NEARLY_FULL_SHARE: Final = 0.8
_MIB: Final = 1024 * 1024
_KEEP: Final = "redis-cli CONFIG SET appendonly yes, and the same in its configuration file"


def broker(timeout_seconds: float) -> Celery:
    """Return an app that reaches the queues, for what asks through kombu. Raises NotGiven, SettingsError."""
    settings = given(RedisSettings, "REDIS_URL")
    app = Celery("cashback-doctor", set_as_current=False)
    app.conf.update(broker_configuration(settings, timeout_seconds=timeout_seconds))
    return app


@contextmanager
def client(timeout_seconds: float) -> Iterator["redis.Redis"]:
    """Give a client inside the block; raises NotGiven, SettingsError, and OSError for all that Redis does."""
    app = broker(timeout_seconds)
    try:
        with client_of(app.pool, timeout_seconds=timeout_seconds) as found:
            yield found
    finally:
        app.close()


def check_server(timeout_seconds: float) -> list[Finding]:
    """Ask what a worker asks at its start, and what only a look from outside tells."""
    app = broker(timeout_seconds)
    try:
        return _looked_at(app, timeout_seconds)
    finally:
        app.close()


def _looked_at(app: Celery, timeout_seconds: float) -> list[Finding]:
    findings = [of_verdict(_PART, verdict) for verdict in check_redis(app)]
    if any(finding.name in {"redis_unreachable", "redis_refused"} for finding in findings):
        return findings
    with client_of(app.pool, timeout_seconds=timeout_seconds) as connected:
        info = connected.info()
        findings += [
            _version(info),
            _persistence(info, connected),
            *_memory(info, takes_writes=all(each.name != "redis_takes_no_writes" for each in findings)),
            _user(connected),
            *_service_users(connected, app),
        ]
    return findings


def _version(info: Mapping[str, Any]) -> Finding:
    version = str(info.get("redis_version", ""))
    name = f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {version}"
    parts = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if parts and parts < _LEAST_VERSION:
        return fault(_PART, "redis_version", f"{name} is older than 6.2", "run Redis 6.2 or later, or Valkey")
    return good(_PART, "redis_version", f"{name} answers")


def _persistence(info: Mapping[str, Any], connected: "redis.Redis") -> Finding:
    name = "redis_persistence"
    failed = [
        field
        for field in ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")
        if info.get(field) not in {None, "ok"}
    ]
    if failed:
        return fault(
            _PART,
            name,
            f"Redis could not write to its disk ({', '.join(failed)} is not ok)",
            "make room on its disk, and look at its log",
        )
    if not info.get("aof_enabled"):
        return _without_append_only_file(info, _configured(connected, "save"))
    fsync = _configured(connected, "appendfsync")
    if fsync == "no":
        return advice(
            _PART,
            name,
            "the append-only file is written to disk when the system likes (appendfsync no)",
            "redis-cli CONFIG SET appendfsync everysec, and the same in its configuration file",
        )
    how = f"appendfsync {fsync}" if fsync else "how often it is synced may not be asked"
    return good(_PART, name, f"an append-only file is written ({how})")


def _without_append_only_file(info: Mapping[str, Any], saves: str | None) -> Finding:
    name = "redis_persistence"
    if saves == "" and not info.get("connected_slaves"):
        return fault(
            _PART,
            name,
            "Redis keeps nothing on disk: what partners have put onto their lists is lost when it restarts",
            _KEEP,
        )
    return advice(
        _PART,
        name,
        "Redis writes no append-only file: what was put onto it since its last snapshot is lost when it dies",
        _KEEP,
    )


def _memory(info: Mapping[str, Any], *, takes_writes: bool) -> Iterator[Finding]:
    name = "redis_memory"
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    limit = "maxmemory" if most else "the machine's memory"
    most = most or int(info.get("total_system_memory", 0))
    share = used / most if most else 0.0
    what = f"{used / _MIB:,.0f} MiB are used of {most / _MIB:,.0f} MiB ({limit})"
    more_mb = max(2 * most // _MIB, 1)
    mend = f"redis-cli CONFIG SET maxmemory {more_mb}mb, or see what fills it: redis-cli --bigkeys"
    if not takes_writes or share >= _FULL_SHARE:
        yield fault(_PART, name, f"Redis has no room: {what}", mend)
    elif share >= _NEARLY_FULL_SHARE:
        yield advice(_PART, name, f"Redis will soon have no room: {what}", mend)
    else:
        yield good(_PART, name, what)


def _user(connected: "redis.Redis") -> Finding:
    name = "redis_user"
    try:
        user = connected.acl_whoami()
    except redis.ResponseError:
        return unchecked(_PART, name, "this user may not ask who it is (ACL WHOAMI)")
    text = _text(user)
    if text == "default":
        return advice(
            _PART,
            name,
            "processes come in as Redis' user `default`, who may do everything",
            "give each process a user of its own: include deploy/redis/users.conf",
        )
    return good(_PART, name, f"the user is {text}")


def _service_users(connected: "redis.Redis", app: Celery) -> Iterator[Finding]:
    """Ask what the users of the processes may do, where this one may ask and they have their usual names."""
    name = "redis_service_users"
    ask: Any = connected.execute_command  # redis-py left it untyped
    try:
        users = {_text(user) for user in ask("ACL", "USERS")}
        with app.pool.acquire(block=True) as connection:
            needs = {
                "cashback-receiver": (*RECEIVER_NEEDS, *TELLS),
                "cashback-worker": (*needs_of(app, connection.default_channel), *TELLS),
            }
        there = [user for user in needs if user in users]
        replies = {user: [_text(ask("ACL", "DRYRUN", user, *each)) for each in needs[user]] for user in there}
    except redis.ResponseError:
        # This one may not ask, or a Redis before 7 does not know the question.
        return
    for user, said in replies.items():
        if refused := next((reply for reply in said if reply not in {"OK", "True"}), None):
            what = f"the user {user} lacks a right that its process needs ({refused})"
            yield fault(_PART, name, what, "take its line from this version's deploy/redis/users.conf")
    if there and all(reply in {"OK", "True"} for said in replies.values() for reply in said):
        yield good(_PART, name, f"may do what their processes need: {', '.join(there)}")


def _text(reply: object) -> str:
    return reply.decode(errors="replace") if isinstance(reply, bytes) else str(reply)


def _configured(connected: "redis.Redis", name: str) -> str | None:
    try:
        found: Mapping[Any, Any] = connected.config_get(name)
    except redis.ResponseError:
        return None
    value = next(iter(found.values()), None)
    return value.decode() if isinstance(value, bytes) else value
