"""The receiver's settings: wrong ones are refused in a sentence that names the variable."""

import pytest

from producer.shared.settings.environment import SettingsError, load
from producer.shared.settings.receiver import ReceiverSettings

GOOD = {
    "CASHBACK_REDIS_URL": "redis://cache.test/0",
    "CASHBACK_DATABASE_URL": "postgresql://db.test/cashback",
    "CASHBACK_BETCORE_URL": "https://betcore.test/base/",
    "CASHBACK_TOKEN_CLIENT_ID": "PartnerClient-1556",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(GOOD):
        monkeypatch.setenv(name, GOOD[name])


def test_the_environment_is_read_and_the_rest_has_defaults() -> None:
    settings = load(ReceiverSettings)

    assert settings.redis_url == GOOD["CASHBACK_REDIS_URL"]
    assert settings.betcore_url == "https://betcore.test/base"
    assert (settings.deadline_seconds, settings.credit_cutoff_seconds) == (30, 25)
    assert settings.verify_fallback is False


@pytest.mark.parametrize("name", list(GOOD))
def test_a_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "")

    with pytest.raises(SettingsError, match=f"^{name} is not set$"):
        load(ReceiverSettings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CASHBACK_REDIS_URL", "cache.test"),
        ("CASHBACK_REDIS_URL", "http://cache.test"),
        ("CASHBACK_DATABASE_URL", "mysql://db.test"),
        ("CASHBACK_BETCORE_URL", "betcore.test"),
        ("CASHBACK_BETCORE_URL", "https://betcore.test/?x=1"),
        ("CASHBACK_BETCORE_PLAIN_HTTP", "yes"),
        ("CASHBACK_DEADLINE_SECONDS", "0"),
        ("CASHBACK_DEADLINE_SECONDS", "soon"),
        ("CASHBACK_COPY_TIMEOUT_SECONDS", "0"),
        ("CASHBACK_COPY_TIMEOUT_SECONDS", "nan"),
        ("CASHBACK_COPY_TIMEOUT_SECONDS", "30"),
        ("CASHBACK_MAX_IN_FLIGHT", "0"),
        ("CASHBACK_RECEIVER_DATABASE_POOL_SIZE", "-1"),
        ("CASHBACK_TOKEN_LEEWAY_SECONDS", "-1"),
        ("CASHBACK_TOKEN_CLIENT_ID", " , "),
        ("CASHBACK_TOKEN_CLIENT_ID", "any,PartnerClient-1556"),
        ("CASHBACK_TOKEN_MAX_LIFE_SECONDS", "0"),
        ("CASHBACK_TOKEN_MAX_LIFE_SECONDS", "inf"),
        ("CASHBACK_JWKS_MAX_AGE_SECONDS", "300"),
        ("CASHBACK_VERIFY_FALLBACK", "perhaps"),
        ("CASHBACK_LOG_LEVEL", "LOUD"),
        ("CASHBACK_ANSWER_RESERVE_SECONDS", "30"),
        ("CASHBACK_PARTNERS", "Edge"),
        ("CASHBACK_PARTNERS", "edge-"),
        ("CASHBACK_PARTNERS", "a b"),
        ("CASHBACK_PARTNERS", "a" * 33),
        ("CASHBACK_PARTNERS", "betcore"),
        ("CASHBACK_PARTNERS", "edge,mobile,edge:2"),
        ("CASHBACK_PARTNERS", "edge:"),
        ("CASHBACK_PARTNERS", "edge:0"),
        ("CASHBACK_PARTNERS", "edge:101"),
        ("CASHBACK_PARTNERS", "edge:1.5"),
        ("CASHBACK_PARTNERS", "edge:-1"),
        ("CASHBACK_PARTNERS", "edge:\u0663"),
        ("CASHBACK_PARTNERS", "edge:1:2"),
        ("CASHBACK_PARTNERS", ",".join(f"p{number}" for number in range(33))),
        ("CASHBACK_OWN_WEIGHT", "0"),
        ("CASHBACK_OWN_WEIGHT", "101"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=name) as raised:
        load(ReceiverSettings)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("value", "partners"),
    [
        ("", {}),
        (" , ", {}),
        ("edge", {"edge": 1}),
        (" edge , mobile:2,a-1:100 ", {"edge": 1, "mobile": 2, "a-1": 100}),
        (",".join(f"p{number}" for number in range(32)), {f"p{number}": 1 for number in range(32)}),
    ],
)
def test_partners_have_names_and_weights(
    monkeypatch: pytest.MonkeyPatch, value: str, partners: dict[str, int]
) -> None:
    monkeypatch.setenv("CASHBACK_PARTNERS", value)

    settings = load(ReceiverSettings)

    assert (settings.partners, settings.own_weight) == (partners, 8)


def test_several_faults_are_all_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASHBACK_REDIS_URL", "")
    monkeypatch.setenv("CASHBACK_LOG_LEVEL", "LOUD")

    with pytest.raises(SettingsError, match=r"CASHBACK_LOG_LEVEL.*CASHBACK_REDIS_URL"):
        load(ReceiverSettings)


@pytest.mark.parametrize(
    "url", ["postgresql://db.test/x?nonsense=1", "postgresql://ann:s3cret@db.test:port:port/x y"]
)
def test_a_database_url_that_cannot_be_used_is_named_as_the_setting(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CASHBACK_DATABASE_URL", url)

    with pytest.raises(SettingsError, match="CASHBACK_DATABASE_URL") as raised:
        load(ReceiverSettings)
    # libpq's own words may quote the password.
    assert "s3cret" not in str(raised.value)
