"""The Redis URL is read as Celery's transport reads it, and a wrong one is named as a setting."""

import ssl
from typing import Any

import pytest
from kombu import Connection
from redis.asyncio.sentinel import SentinelConnectionPool

from producer.copies.redis_client import MAX_CONNECTIONS, redis_client
from producer.shared.settings.environment import SettingsError, load
from producer.shared.settings.receiver import ReceiverSettings


def settings_with(redis_url: str) -> ReceiverSettings:
    return ReceiverSettings(
        redis_url=redis_url,
        redis_sentinel_master="cashback-primary",
        database_url="postgresql://db.test/cashback",
        betcore_url="https://betcore.test",
        token_client_id="PartnerClient-1556",
    )


def options_of(redis_url: str) -> dict[str, Any]:
    pool = redis_client(settings_with(redis_url), timeout_seconds=2).connection_pool
    assert pool.max_connections == MAX_CONNECTIONS
    options: dict[str, Any] = pool.connection_kwargs
    return options


@pytest.mark.parametrize(
    "url",
    [
        "redis://cache.test",
        "redis://cache.test/",
        "redis://cache.test:7000/3",
        "redis://:s%40crt%2F@cache.test:7000/3",
        "redis://user:pw@cache.test/0",
        "rediss://user:pw@cache.test:7000/1",
    ],
)
def test_address_database_and_credentials_are_those_that_kombu_reads(url: str) -> None:
    options = options_of(url)
    kombu = Connection(url)

    assert options["host"] == kombu.hostname
    assert options["port"] == (kombu.port or 6379)
    assert options["db"] == int((kombu.virtual_host or "0").strip("/") or 0)
    assert options["username"] == kombu.userid
    assert options["password"] == kombu.password


def test_tls_options_are_read_and_the_certificate_is_checked_by_default() -> None:
    plain = options_of("rediss://cache.test")
    chosen = options_of(
        "rediss://cache.test?ssl_cert_reqs=CERT_NONE&ssl_ca_certs=/ca.pem&visibility_timeout=9"
    )

    assert (plain["ssl_cert_reqs"], plain["ssl_check_hostname"]) == (ssl.CERT_REQUIRED, True)
    assert (chosen["ssl_cert_reqs"], chosen["ssl_check_hostname"]) == (ssl.CERT_NONE, False)
    assert chosen["ssl_ca_certs"] == "/ca.pem"
    assert "visibility_timeout" not in chosen


def test_several_sentinels_lead_to_the_named_primary() -> None:
    url = "sentinel://:pw@one.test:26380/2;sentinel://two.test"
    pool = redis_client(settings_with(url), timeout_seconds=2).connection_pool

    assert isinstance(pool, SentinelConnectionPool)
    assert pool.service_name == "cashback-primary"
    addresses = [
        (each.connection_pool.connection_kwargs["host"], each.connection_pool.connection_kwargs["port"])
        for each in pool.sentinel_manager.sentinels
    ]
    assert addresses == [("one.test", 26380), ("two.test", 26379)]
    assert (pool.connection_kwargs["db"], pool.connection_kwargs["password"]) == (2, "pw")


@pytest.mark.parametrize(
    "url",
    [
        "redis://cache.test:port/0",
        "redis://cache.test:99999/0",
        "redis://cache.test/none",
        "redis://one.test;redis://two.test",
        "rediss://cache.test?ssl_cert_reqs=maybe",
        "redis://[::1/0",
    ],
)
def test_a_url_that_cannot_be_used_is_named_as_the_setting(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASHBACK_DATABASE_URL", "postgresql://db.test/cashback")
    monkeypatch.setenv("CASHBACK_BETCORE_URL", "https://betcore.test")
    monkeypatch.setenv("CASHBACK_TOKEN_CLIENT_ID", "PartnerClient-1556")
    monkeypatch.setenv("CASHBACK_REDIS_URL", url)

    with pytest.raises(SettingsError, match="CASHBACK_REDIS_URL"):
        load(ReceiverSettings)
