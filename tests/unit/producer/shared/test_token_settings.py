"""What is believed: for whom the tokens are, and over which way the keys may come."""

import httpx
import pytest
from structlog.testing import capture_logs

from producer.protocol.errors import (
    TokenLivesTooLong,
    TokenNotYetValid,
    WrongAudience,
    WrongClient,
    WrongIssuer,
)
from producer.shared.settings.agreed import SharedSettings
from producer.shared.settings.environment import SettingsError, load
from producer.shared.settings.receiver import ReceiverSettings
from producer.shared.wiring import build_keys, build_verifier
from tests.support.betcore import ISSUER, Endpoints, signer
from tests.support.verifiers import AT, NOW
from worker.settings import WorkerSettings

GOOD = {
    "CASHBACK_REDIS_URL": "redis://cache.test/0",
    "CASHBACK_DATABASE_URL": "postgresql://db.test/cashback",
    "CASHBACK_BETCORE_URL": "https://betcore.test",
    "CASHBACK_TOKEN_CLIENT_ID": "PartnerClient-1556",
    "CASHBACK_BEARER_TOKEN": "x",
    "CASHBACK_CLIENT_ID": "7",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("settings_class", [ReceiverSettings, WorkerSettings])
def test_without_whom_the_tokens_are_for_nothing_starts(
    settings_class: type[SharedSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CASHBACK_TOKEN_CLIENT_ID")

    # The id at the Token endpoint says nothing about it.
    with pytest.raises(SettingsError, match=r"^CASHBACK_TOKEN_CLIENT_ID is not set$"):
        load(settings_class)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PartnerClient-1556", frozenset({"PartnerClient-1556"})),
        ("PartnerClient-1556, PartnerClient-7,", frozenset({"PartnerClient-1556", "PartnerClient-7"})),
        ("any", None),
        # No word of ours, and so the name of a partner.
        ("Any", frozenset({"Any"})),
    ],
)
def test_one_is_named_or_several_or_any(
    text: str, expected: frozenset[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CASHBACK_TOKEN_CLIENT_ID", text)

    assert load(ReceiverSettings).client_ids == expected


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({}, None),
        ({"client_id": "PartnerClient-9999"}, WrongClient),
        ({"iss": "https://other.test"}, WrongIssuer),
        ({"aud": "them"}, WrongAudience),
        ({"exp": AT + 121}, TokenLivesTooLong),
        ({"iat": AT + 4}, TokenNotYetValid),
    ],
)
def test_what_is_set_is_what_tokens_are_verified_by(
    claims: dict[str, object], error: type[Exception] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"ISSUER": ISSUER, "AUDIENCE": "us", "MAX_LIFE_SECONDS": "120", "LEEWAY_SECONDS": "2"}
    for name, value in asked.items():
        monkeypatch.setenv(f"CASHBACK_TOKEN_{name}", value)
    settings = load(ReceiverSettings)
    betcore = Endpoints()
    betcore.publish(signer(1))
    payload: dict[str, object] = {"aud": "us"} | claims
    token = signer(1).token(at=AT, data="{}", **payload)
    with httpx.Client(transport=httpx.WSGITransport(betcore)) as client:
        keys = build_keys(settings, client=client, retired_key_seconds=0)
        keys.fetch()
        verifier = build_verifier(settings, keys=keys, client=client)

        if error is None:
            assert verifier.verify(token, at=NOW).data == "{}"
        else:
            with pytest.raises(error):
                verifier.verify(token, at=NOW)


@pytest.mark.parametrize(("text", "warnings"), [("any", 1), ("PartnerClient-1556", 0)])
def test_that_nobody_is_checked_is_said_at_start(
    text: str, warnings: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CASHBACK_TOKEN_CLIENT_ID", text)
    settings = load(ReceiverSettings)
    with httpx.Client() as client, capture_logs() as logs:
        build_verifier(
            settings, keys=build_keys(settings, client=client, retired_key_seconds=0), client=client
        )

    said = [line for line in logs if line["event"] == "token_clients_unchecked"]
    assert [line["log_level"] for line in said] == ["warning"] * warnings
    assert all("CASHBACK_TOKEN_CLIENT_ID=any" in line["why"] for line in said)


@pytest.mark.parametrize(
    "url",
    ["http://betcore.test", "http://10.0.0.7:8000", "http://localhost.betcore.test", "http://[fe80::1]"],
)
def test_plain_http_to_another_machine_is_refused_unless_it_is_allowed(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CASHBACK_BETCORE_URL", url)

    with pytest.raises(SettingsError, match=r"^CASHBACK_BETCORE_URL must be https://.*PLAIN_HTTP=allow"):
        load(ReceiverSettings)
    monkeypatch.setenv("CASHBACK_BETCORE_PLAIN_HTTP", "allow")
    assert load(ReceiverSettings).betcore_url == url


@pytest.mark.parametrize(
    "url",
    [
        "https://betcore.test",
        "http://127.0.0.1:8000",
        "http://127.1.2.3",
        "http://[::1]:1",
        "http://localhost",
    ],
)
def test_https_is_good_and_so_is_this_machine(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASHBACK_BETCORE_URL", url)

    assert load(ReceiverSettings).betcore_url == url
