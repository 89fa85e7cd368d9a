"""A real Valkey with the users of deploy/redis/users.conf."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from deploy.local.valkey import ValkeyServer
from deploy.redis.users import RedisUsers
from tests.support.redis_users import Server


@pytest.fixture(scope="session")
def guarded_valkey(server_directory: Path) -> Iterator[ValkeyServer]:
    """One Valkey with its users for the whole run."""
    server = ValkeyServer(server_directory / "guarded-valkey", users=RedisUsers.made_up())
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def server(guarded_valkey: ValkeyServer) -> Iterator[Server]:
    """Lend the server, empty, and nobody refused yet."""
    with redis.Redis.from_url(guarded_valkey.url, decode_responses=True) as operator:
        operator.flushall()
        operator.acl_log_reset()
        yield Server(guarded_valkey, operator)
