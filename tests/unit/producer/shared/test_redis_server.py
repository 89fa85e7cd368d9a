"""How Redis is spoken to follows from the settings, the same for each process; of TLS kombu is told apart."""

import ssl
from pathlib import Path

import pytest
from kombu.utils.url import parse_url

from producer.shared.redis.broker import broker_configuration
from producer.shared.redis.server import read_redis_url
from producer.shared.settings.environment import SettingsError, load
from producer.shared.settings.receiver import ReceiverSettings

VERIFIED = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASHBACK_DATABASE_URL", "postgresql://db.test/cashback")
    monkeypatch.setenv("CASHBACK_BETCORE_URL", "https://betcore.test")
    monkeypatch.setenv("CASHBACK_TOKEN_CLIENT_ID", "PartnerClient-1556")


@pytest.mark.parametrize("url", ["rediss://cache.test", "sentinels://one.test;sentinels://two.test"])
def test_over_tls_the_server_is_verified_by_default(url: str) -> None:
    assert read_redis_url(url).tls == VERIFIED


@pytest.mark.parametrize("url", ["redis://cache.test", "sentinel://one.test"])
def test_without_tls_there_is_none(url: str) -> None:
    assert read_redis_url(url).tls is None


def test_kombu_reads_nothing_of_tls_in_the_url() -> None:
    server = read_redis_url("rediss://u:p%40w@cache.test:7000/3?ssl_cert_reqs=none&visibility_timeout=9")

    assert (server.tls or {})["ssl_cert_reqs"] is ssl.CERT_NONE
    read = parse_url(server.broker_url)
    assert (read["transport"], read["userid"], read["password"]) == ("rediss", "u", "p@w")
    assert (read["hostname"], read["port"], read["virtual_host"]) == ("cache.test", 7000, "3")
    assert read["visibility_timeout"] == "9"
    assert "ssl" not in read


def test_kombu_finds_sentinels_over_tls_by_their_only_scheme() -> None:
    server = read_redis_url("sentinels://:pw@one.test:1/2;sentinels://two.test")

    assert server.broker_url == "sentinel://:pw@one.test:1/2;sentinel://two.test"
    assert server.hosts == (("one.test", 1), ("two.test", 26379))


def test_files_and_the_sentinels_own_password_reach_the_broker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = {"CA": "ssl_ca_certs", "CERT": "ssl_certfile", "KEY": "ssl_keyfile"}
    for name in names:
        (tmp_path / name).touch()
        monkeypatch.setenv(f"CASHBACK_REDIS_{name}_FILE", str(tmp_path / name))
    monkeypatch.setenv("CASHBACK_REDIS_URL", "sentinels://:server@one.test?ssl_ca_certs=/other")
    monkeypatch.setenv("CASHBACK_REDIS_SENTINEL_USERNAME", "watcher")
    monkeypatch.setenv("CASHBACK_REDIS_SENTINEL_PASSWORD", "s3ntinel")

    configuration = broker_configuration(load(ReceiverSettings), timeout_seconds=3)

    files = {option: str(tmp_path / name) for name, option in names.items()}
    assert configuration["broker_use_ssl"] == {**VERIFIED, **files}
    assert configuration["broker_transport_options"]["sentinel_kwargs"] == {
        "username": "watcher",
        "password": "s3ntinel",
        "socket_timeout": 1,
        "socket_connect_timeout": 1,
        "retry": None,
        "ssl": True,
        **VERIFIED,
        **files,
    }


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"REDIS_URL": "rediss://one.test", "REDIS_CA_FILE": "/nowhere"},
            "REDIS_CA_FILE: /nowhere cannot",
        ),
        ({"REDIS_URL": "redis://one.test", "REDIS_CA_FILE": "/etc/passwd"}, "REDIS_CA_FILE is set, and"),
        ({"REDIS_URL": "rediss://one.test", "REDIS_KEY_FILE": "/etc/passwd"}, "REDIS_KEY_FILE go together"),
        ({"REDIS_URL": "sentinel://one.test;sentinels://two.test"}, "REDIS_URL: all of its addresses"),
    ],
)
def test_what_does_not_go_together_is_said_at_start(
    settings: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"CASHBACK_{name}", value)

    with pytest.raises(SettingsError) as raised:
        load(ReceiverSettings)
    assert sentence in str(raised.value)
