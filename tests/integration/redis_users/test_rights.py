"""What each user may do, and what it may not: asked of the server, command by command."""

from pathlib import Path
from typing import Any

import pytest
import redis

from cashback_client.contract import QUEUE, RETRY_QUEUE, queue_of
from deploy.redis.users import ROLES, Role
from producer.shared.redis.processes import PROCESSES
from tests.support.redis_users import Server

# The server lets everybody run these: they log in, say the protocol, and leave.
_ANYBODY = {"auth", "hello", "quit", "reset"}
_BEARER = "cashback:bearer:PartnerClient-1"
_OF_THE_SERVER = [
    ("CONFIG", "GET", "*"),
    ("CONFIG", "SET", "maxmemory", "1mb"),
    ("FLUSHALL",),
    ("FLUSHDB",),
    ("KEYS", "*"),
    ("RANDOMKEY",),
    ("ACL", "LIST"),
    ("ACL", "SETUSER", "cashback-flower", "+@all"),
    ("ACL", "WHOAMI"),
    ("MONITOR",),
    ("SHUTDOWN",),
    ("DEBUG", "SLEEP", "10"),
    ("REPLICAOF", "example.org", "6379"),
    ("SAVE",),
    ("BGREWRITEAOF",),
    ("CLIENT", "LIST"),
    ("CLIENT", "KILL", "TYPE", "normal"),
    ("CLIENT", "PAUSE", "1000"),
    ("SLOWLOG", "GET"),
    ("MODULE", "LIST"),
    ("FUNCTION", "LIST"),
    ("SCRIPT", "FLUSH"),
    ("SCRIPT", "KILL"),
    ("RENAME", QUEUE, "stolen"),
    ("COPY", QUEUE, "stolen"),
    ("MIGRATE", "example.org", "6379", QUEUE, "0", "1000"),
    ("DUMP", QUEUE),
    ("SELECT", "1"),
    ("SWAPDB", "0", "1"),
]
_READS_THE_QUEUE = [
    ("LRANGE", QUEUE, "0", "-1"),
    ("LINDEX", QUEUE, "0"),
    ("RPOP", QUEUE),
    ("BRPOP", QUEUE, "1"),
    ("LMOVE", QUEUE, "mine", "LEFT", "LEFT"),
    ("GETRANGE", QUEUE, "0", "-1"),
    ("SORT", QUEUE, "BY", "nosort"),
]
_DESTROYS_THE_QUEUE = [
    ("DEL", QUEUE),
    ("UNLINK", QUEUE),
    ("LTRIM", QUEUE, "1", "0"),
    ("LREM", QUEUE, "0", "x"),
    ("EXPIRE", QUEUE, "1"),
    ("PEXPIRE", QUEUE, "1"),
    ("SET", QUEUE, "x"),
]
_TOUCHES_WHAT_WORKERS_SHARE = [
    ("GET", _BEARER),
    ("SET", _BEARER, "x"),
    ("DEL", _BEARER),
    ("HGETALL", "cashback.held.host:1:ab@cashback"),
    ("HSCAN", "cashback.held.host:1:ab@cashback", "0"),
    ("ZADD", "cashback.leases", "1", "host:1:ab@cashback"),
    ("ZRANGE", "cashback:commits", "0", "-1"),
    ("RPUSH", "cashback.returned", "x"),
]
_SPEAKS_TO_WORKERS = [("PUBLISH", "/0.celery.pidbox", "shutdown")]
_FAKES_EVENTS = [("PUBLISH", "/0.celeryev/task.succeeded", "x")]
_HEARS = [("SUBSCRIBE", "/0.celeryev/worker.heartbeat"), ("PSUBSCRIBE", "/0.celeryev/*"), ("PSUBSCRIBE", "*")]
_READS_BY_SCRIPT = [("EVAL", f"return redis.call('GET', '{_BEARER}')", "0")]
_WRITES_THE_QUEUE = [("LPUSH", QUEUE, "x"), ("RPUSH", QUEUE, "x"), ("LPUSH", RETRY_QUEUE, "x")]

# On one key, by which an operator sees who is there.
_TELLS = {"hset", "hdel", "pexpire"}

_OF_ANOTHER_PARTNER = queue_of("mobile")
_OWN_OF_PARTNER = queue_of("edge")

_MAY_NOT: dict[Role, list[tuple[str, ...]]] = {
    "receiver": [
        *_READS_THE_QUEUE,
        *_DESTROYS_THE_QUEUE,
        *_TOUCHES_WHAT_WORKERS_SHARE,
        *_SPEAKS_TO_WORKERS,
        *_FAKES_EVENTS,
        *_HEARS,
        *_READS_BY_SCRIPT,
        ("LPUSH", RETRY_QUEUE, "x"),
        ("HSET", "cashback.held.host:1:ab@cashback", "field", "x"),
        ("HSCAN", PROCESSES, "0"),
        ("LPUSH", PROCESSES, "x"),
    ],
    "partner-edge": [
        *_READS_THE_QUEUE,
        *_DESTROYS_THE_QUEUE,
        *_TOUCHES_WHAT_WORKERS_SHARE,
        *_SPEAKS_TO_WORKERS,
        *_FAKES_EVENTS,
        *_HEARS,
        *_READS_BY_SCRIPT,
        *_WRITES_THE_QUEUE,
        ("LPUSH", _OF_ANOTHER_PARTNER, "x"),
        ("LPUSH", f"{_OWN_OF_PARTNER}2", "x"),
        ("RPUSH", _OWN_OF_PARTNER, "x"),
        ("LRANGE", _OWN_OF_PARTNER, "0", "-1"),
        ("RPOP", _OWN_OF_PARTNER),
        ("DEL", _OWN_OF_PARTNER),
        ("MULTI",),
        ("INFO",),
    ],
    "partner": [
        *_READS_THE_QUEUE,
        *_DESTROYS_THE_QUEUE,
        *_TOUCHES_WHAT_WORKERS_SHARE,
        *_SPEAKS_TO_WORKERS,
        *_FAKES_EVENTS,
        *_HEARS,
        *_READS_BY_SCRIPT,
        ("LPUSH", RETRY_QUEUE, "x"),
        ("LPUSH", _OWN_OF_PARTNER, "x"),
        ("MULTI",),
        ("INFO",),
    ],
    "flower": [
        *_READS_THE_QUEUE,
        *_DESTROYS_THE_QUEUE,
        *_TOUCHES_WHAT_WORKERS_SHARE,
        *_WRITES_THE_QUEUE,
        *_FAKES_EVENTS,
        *_READS_BY_SCRIPT,
        ("PSUBSCRIBE", "*"),
        ("SUBSCRIBE", "/0.celery.pidbox"),
    ],
    "worker": [
        *_SPEAKS_TO_WORKERS,
        *_HEARS,
        ("GET", "of-somebody-else"),
        ("LPUSH", "queue-of-another-application", "x"),
        ("RPOP", "celery"),
        ("LRANGE", "celery", "0", "-1"),
        ("LINDEX", "queue-of-another-application", "-1"),
        ("PUBLISH", "of-somebody-else", "x"),
    ],
}
_DENIALS = [(role, command) for role, each in _MAY_NOT.items() for command in [*each, *_OF_THE_SERVER]]
# A worker looks for lists of partners that nobody reads.
_DENIALS += [(role, ("SCAN", "0")) for role in _MAY_NOT if role != "worker"]


def commands_of(server: Server) -> dict[str, int]:
    """Return the server's commands, with how many words each has at least."""
    with redis.Redis.from_url(server.valkey.url, decode_responses=True) as client:
        # redis-py's own reading fails on some of them.
        client.set_response_callback("COMMAND", lambda reply, **_: reply)
        infos: Any = client.execute_command("COMMAND")
    # What has subcommands is no command by itself.
    commands = [each for info in infos for each in (info[9] or [info])]
    return {name.lower(): abs(arity) for name, arity, *_ in commands}


def may(server: Server, role: Role) -> set[str]:
    """Return the commands that a role's user may run, whatever on."""
    allowed = set()
    for name, arity in commands_of(server).items():
        words = name.split("|")
        command = [*words, *[QUEUE] * (arity - len(words))]
        reply = str(server.dry_run(f"cashback-{role}", *command))
        if "has no permissions to run" not in reply:
            allowed.add(name)
    return allowed


def test_a_partner_with_a_list_of_its_own_may_put_onto_that_and_nowhere_else(server: Server) -> None:
    role: Role = "partner-edge"

    assert may(server, role) - _ANYBODY == {"lpush", "ping", "client|setname", "client|setinfo"}
    assert server.says(role, "LPUSH", _OWN_OF_PARTNER, "entry") == 1
    assert server.says(role, "PING")


def test_a_receiver_puts_events_onto_the_lists_of_partners_and_flower_sees_how_long_they_are(
    server: Server,
) -> None:
    assert server.says("receiver", "LPUSH", _OWN_OF_PARTNER, "entry") == 1
    assert server.says("flower", "LLEN", _OWN_OF_PARTNER) == 1


def test_a_partner_may_put_onto_its_queue_say_that_it_is_there_and_name_itself(server: Server) -> None:
    assert may(server, "partner") - _ANYBODY == {"lpush", "ping", "client|setname", "client|setinfo"}
    assert server.says("partner", "LPUSH", QUEUE, "entry") == 1
    assert server.says("partner", "PING")
    assert server.says("partner", "CLIENT", "SETNAME", "shop")


def test_a_receiver_may_put_onto_the_queue_and_ask_whether_it_may(server: Server) -> None:
    assert may(server, "receiver") - _ANYBODY == {"lpush", "ping", "info", "multi", "discard"} | _TELLS
    assert server.says("receiver", "LPUSH", QUEUE, "entry") == 1
    assert server.says("receiver", "HSET", PROCESSES, "receiver host:1", "{}") == 1


@pytest.mark.parametrize(("role", "command"), _DENIALS, ids=lambda value: str(value)[:60])
def test_what_is_not_its_own_is_refused(server: Server, role: Role, command: tuple[str, ...]) -> None:
    if command[0] == "EVAL":
        # What a script may do is seen when it is run.
        reply = server.says(role, *command)
        assert isinstance(reply, redis.ResponseError)
        assert "permission" in str(reply).lower()
        return
    assert not server.would_run(f"cashback-{role}", *command)
    # It is the right alone that is missing.
    assert server.would_run("cashback-operator", *command)


def test_who_has_no_login_may_do_nothing(server: Server) -> None:
    with redis.Redis.from_url(server.bare_url) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()


def test_nobody_is_let_in_with_another_ones_password(server: Server) -> None:
    assert server.valkey.users is not None
    for role in ROLES:
        url = server.url(role).replace(server.valkey.users.passwords[role], "0" * 32)
        with redis.Redis.from_url(url) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()


def test_the_passwords_are_for_the_servers_user_alone(server: Server) -> None:
    directory = server.operator.config_get("dir")["dir"]

    assert Path(str(directory), "valkey.conf").stat().st_mode & 0o077 == 0
