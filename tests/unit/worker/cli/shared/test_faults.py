"""What an operator is told names what happened, also where the error has no text of its own."""

import psycopg
import pytest
import redis
from kombu import Connection

from worker.cli.shared import broker
from worker.cli.shared.faults import fault_of
from worker.recovery.broker import BrokerUnavailable


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            psycopg.OperationalError(),
            "PostgreSQL cannot be reached, check CASHBACK_DATABASE_URL and that it runs: OperationalError",
        ),
        (psycopg.InterfaceError(), "PostgreSQL refused: InterfaceError"),
        (psycopg.errors.DiskFull("disk\nfull"), "PostgreSQL refused: disk"),
    ],
)
def test_an_error_of_postgresql_is_named(error: psycopg.Error, text: str) -> None:
    fault = fault_of(error)

    assert fault is not None
    assert fault.message == text


def test_an_error_of_redis_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_connection: Connection) -> None:
        raise redis.TimeoutError

    monkeypatch.setattr(Connection, "default_channel", property(fail))
    monkeypatch.setenv("CASHBACK_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("CASHBACK_DATABASE_URL", "postgresql://127.0.0.1:1/none")

    with (
        broker.open_queues() as push,
        pytest.raises(BrokerUnavailable, match="runs: TimeoutError: "),
    ):
        push("cashback", b"")
