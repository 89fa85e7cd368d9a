"""What Redis's answers mean for a process that needs what was asked."""

import pytest
from redis import exceptions

from producer.shared.preconditions.checks import answered_by
from producer.shared.preconditions.redis import (
    RECEIVER_NEEDS,
    Command,
    of_error,
    redis_check,
    tried,
)
from producer.shared.preconditions.verdict import Kind

GOOD = {"INFO cluster": {"cluster_enabled": 0}, "INFO memory": {"maxmemory_policy": "noeviction"}}


def found(replies: dict[str, object], *, needs_multi: bool = True) -> list[tuple[str, Kind]]:
    """Check a Redis that answers so, each command by its name; the rest is queued."""

    def ask(commands: tuple[Command, ...]) -> list[object]:
        names = [" ".join(map(str, each)) if each[0] == "INFO" else str(each[0]) for each in commands]
        return [{**GOOD, **replies}.get(name, b"QUEUED") for name in names]

    verdicts = answered_by(redis_check(RECEIVER_NEEDS, needs_multi=needs_multi), ask)
    assert all("\n" not in verdict.sentence for verdict in verdicts)
    return [(verdict.name, verdict.kind) for verdict in verdicts]


def test_a_redis_that_does_all_has_no_verdict() -> None:
    assert found({}) == []


@pytest.mark.parametrize(
    ("error", "name", "kind"),
    [
        (exceptions.NoPermissionError("User x has no permissions"), "redis_refused", Kind.FATAL),
        (exceptions.AuthenticationError("invalid username-password pair"), "redis_refused", Kind.FATAL),
        (exceptions.ClusterCrossSlotError("Keys in request"), "redis_cluster", Kind.FATAL),
        (exceptions.MovedError("1 127.0.0.1:7000"), "redis_cluster", Kind.FATAL),
        (exceptions.ClusterDownError("Hash slot not served"), "redis_cluster", Kind.FATAL),
        (exceptions.ResponseError("unknown command 'BLMOVE'"), "redis_version", Kind.FATAL),
        (
            exceptions.ReadOnlyError("You can't write against a read only replica."),
            "redis_takes_no_writes",
            Kind.PASSING,
        ),
        (exceptions.OutOfMemoryError("command not allowed"), "redis_takes_no_writes", Kind.PASSING),
        (exceptions.ResponseError("MISCONF Redis is configured to"), "redis_takes_no_writes", Kind.PASSING),
        (exceptions.MasterDownError("Link with MASTER is down"), "redis_takes_no_writes", Kind.PASSING),
        (exceptions.BusyLoadingError("Redis is loading"), "redis_takes_no_writes", Kind.PASSING),
        (exceptions.ResponseError("something else"), "redis_refuses_commands", Kind.PASSING),
        (exceptions.ConnectionError("refused"), "redis_unreachable", Kind.PASSING),
        (exceptions.TimeoutError("silent"), "redis_unreachable", Kind.PASSING),
        (OSError(113, "No route to host"), "redis_unreachable", Kind.PASSING),
    ],
)
def test_an_error_is_fatal_where_waiting_does_not_help(error: Exception, name: str, kind: Kind) -> None:
    verdict = of_error(error)

    assert (verdict.name, verdict.kind) == (name, kind)
    assert found({"LPUSH": error}) == [(name, kind)]


def test_what_may_not_be_asked_is_unknown() -> None:
    refused = exceptions.NoPermissionError("this user has no permissions")

    assert found({"INFO cluster": refused, "INFO memory": refused}) == [
        ("redis_cluster", Kind.UNKNOWN),
        ("redis_eviction", Kind.UNKNOWN),
    ]
    assert found({"INFO memory": {}}) == [("redis_eviction", Kind.UNKNOWN)]


def test_cluster_mode_is_fatal_and_an_eviction_policy_is_no_reason_to_end() -> None:
    assert found({"INFO cluster": {"cluster_enabled": 1}}) == [("redis_cluster", Kind.FATAL)]
    assert found({"INFO memory": {"maxmemory_policy": "allkeys-lru"}}) == [("redis_eviction", Kind.PASSING)]


def test_without_the_right_to_a_transaction_nothing_is_tried() -> None:
    asked = list[str | bytes | float]()
    refused = exceptions.NoPermissionError("no MULTI")

    def ask(commands: tuple[Command, ...]) -> list[object]:
        asked.extend(command[0] for command in commands)
        return [refused] if commands[0][0] == "MULTI" else list(GOOD.values())

    verdicts = answered_by(redis_check(RECEIVER_NEEDS, needs_multi=False), ask)

    assert [(each.name, each.kind) for each in verdicts] == [("redis_rights", Kind.UNKNOWN)]
    assert asked == ["INFO", "INFO", "MULTI"]
    assert found({"MULTI": refused}) == [("redis_refused", Kind.FATAL)]


def test_what_is_tried_is_sent_when_the_transaction_has_begun_and_is_discarded() -> None:
    check = tried(RECEIVER_NEEDS)

    assert [command[0] for command in next(check)] == ["MULTI"]
    assert [command[0] for command in check.send([b"OK"])] == ["LPUSH", "DISCARD"]
