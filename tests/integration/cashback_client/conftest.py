"""A real Valkey whose user `edge` may put onto its own list, and do nothing else."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from deploy.local.valkey import ValkeyServer
from deploy.redis.users import RedisUsers
from tests.support.cashback_clients import PARTNER, PASSWORD, QUEUE
from tests.support.redis_users import Server


@pytest.fixture(scope="session")
def guarded_valkey(server_directory: Path) -> Iterator[ValkeyServer]:
    """One Valkey with its users for all of these tests."""
    server = ValkeyServer(server_directory / "clients-valkey", users=RedisUsers.made_up())
    try:
        server.start()
        with redis.Redis.from_url(server.url) as operator:
            # The user of a service that is called edge, and of no other.
            operator.execute_command(
                "ACL", "SETUSER", PARTNER, "on", f">{PASSWORD}", "resetchannels", f"%W~{QUEUE}", "+lpush"
            )
        yield server
    finally:
        server.stop()


@pytest.fixture
def server(guarded_valkey: ValkeyServer) -> Iterator[Server]:
    """Lend the server, empty, and nobody refused yet."""
    with redis.Redis.from_url(guarded_valkey.url, decode_responses=False) as operator:
        operator.flushall()
        operator.acl_log_reset()
        yield Server(guarded_valkey, operator)
