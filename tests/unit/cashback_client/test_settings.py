"""What a client is made of, and what it refuses to be made of, without a word of its secrets."""

import pytest

from cashback_client.client import AsyncCashbackClient, CashbackClient
from cashback_client.errors import WrongSettings
from cashback_client.settings import DEFAULT_TIMEOUT_SECONDS, Options, read_settings

KEY: Options = {"api_key": "k3y"}


def test_a_redis_url_says_server_login_and_queue() -> None:
    found = read_settings("redis://edge:p%40ss%2Fw@redis.test/2", {"producer": "edge"})

    assert found.queue == "cashback.partner.edge"
    assert found.timeout_seconds == DEFAULT_TIMEOUT_SECONDS
    assert found.redis is not None
    assert found.redis.hosts == (("redis.test", 6379),)
    assert found.redis.connection == {"db": 2, "username": "edge", "password": "p@ss/w"}
    assert (found.redis.has_tls, found.redis.sentinel_master, found.http) == (False, None, None)


def test_certificates_stand_in_the_query_and_nothing_else_is_taken_from_it() -> None:
    url = "rediss://u:p@redis.test:1/?ssl_ca_certs=%2Fca.pem&socket_timeout=900&protocol=3"
    found = read_settings(url, {}).redis

    assert found is not None
    assert found.has_tls
    assert found.connection["ssl_ca_certs"] == "/ca.pem"
    assert set(found.connection) == {"db", "username", "password", "ssl_ca_certs"}


def test_sentinels_are_several_with_the_login_of_the_server_in_the_first() -> None:
    url = "sentinels://edge:p@one.test:1/3;sentinels://two.test"
    found = read_settings(url, {"sentinel_master": "main", "sentinel_password": "s"}).redis

    assert found is not None
    assert found.hosts == (("one.test", 1), ("two.test", 26379))
    assert (found.has_tls, found.sentinel_master) == (True, "main")
    assert found.connection == {"db": 3, "username": "edge", "password": "p"}
    assert found.sentinel_login == {"password": "s"}


def test_a_receivers_url_is_a_base_url() -> None:
    found = read_settings("https://receiver.test:8443/base/", KEY).http

    assert found is not None
    assert (found.host, found.port, found.path) == ("receiver.test", 8443, "/base")
    assert found.host_header == "receiver.test:8443"
    assert found.tls is not None
    assert found.tls.check_hostname
    assert read_settings("redis://r.test", {**KEY, "status_url": "http://[::1]"}).http is not None


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("", {}),
        ("redis.test:6379", {}),
        ("unix:///run/redis.sock", {}),
        ("redis://u:s3cret@redis.test/zero", {}),
        ("redis://u:s3cret/@redis.test", {}),
        ("redis://u:s3cret@redis.test:port", {}),
        ("redis://one.test;redis://two.test", {}),
        ("sentinel://one.test;sentinels://two.test", {}),
        ("redis://r.test", {"producer": "Edge"}),
        ("redis://r.test", {"timeout_seconds": 0}),
        ("redis://r.test", {"timeout_seconds": 31}),
        ("redis://r.test", {"timeout_seconds": float("nan")}),
        ("redis://r.test", {"timeout": 1}),
        ("redis://r.test", {"status_url": "https://receiver.test"}),
        ("redis://r.test", {"status_url": "redis://r.test", "api_key": "k"}),
        ("https://receiver.test", {}),
        ("https://receiver.test", {"api_key": "s3cret\r\nX: y"}),
        ("https://receiver.test", {"api_key": ""}),
        ("https://u:s3cret@receiver.test", KEY),
        ("https://receiver.test/?x=1", KEY),
        ("https://receiver.test/a b", KEY),
        ("https://", KEY),
        (f"https://{'x' * 70}.\u00e9.test", KEY),
        (f"https://{'x' * 70}.test", KEY),
        ("https://a..test", KEY),
    ],
)
def test_what_no_client_can_be_made_of_is_said_without_its_secrets(url: str, options: Options) -> None:
    for kind in (CashbackClient, AsyncCashbackClient):
        with pytest.raises(WrongSettings) as error:
            kind(url, **options)
        assert "s3cret" not in repr(error.value)


def test_settings_show_no_secret() -> None:
    shown = [
        repr(read_settings("redis://u:s3cret@r.test", {"sentinel_password": "s3cret"})),
        repr(read_settings("sentinel://u:s3cret@r.test", {"sentinel_password": "s3cret"})),
        repr(read_settings("https://r.test", {"api_key": "s3cret"})),
    ]

    assert "s3cret" not in "".join(shown)
