"""Secrets come from variables or from files, and are not shown."""

from pathlib import Path

import pytest

from deploy.monitor import MonitorSettings
from producer.shared.settings.environment import SettingsError, load
from producer.shared.settings.receiver import ReceiverSettings
from worker.cli.shared.broker import BrokerSettings
from worker.settings import WorkerSettings

CANARY = "canary-7f3a"
PLAIN = {
    "CASHBACK_BETCORE_URL": "https://betcore.test",
    "CASHBACK_TOKEN_CLIENT_ID": "PartnerClient-1",
    "CASHBACK_CLIENT_ID": "7",
}
SECRETS = {
    "CASHBACK_DATABASE_URL": f"postgresql://user:{CANARY}@db.test/x",
    "CASHBACK_REDIS_URL": f"redis://user:{CANARY}@redis.test/0",
    "CASHBACK_REDIS_SENTINEL_PASSWORD": CANARY,
    "CASHBACK_CLIENT_SECRET": CANARY,
    "CASHBACK_BEARER_TOKEN": CANARY,
    "CASHBACK_FLOWER_BASIC_AUTH": f"user:{CANARY}",
}
PROCESSES = [ReceiverSettings, WorkerSettings, MonitorSettings, BrokerSettings]

Settings = ReceiverSettings | WorkerSettings | MonitorSettings | BrokerSettings


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in {**PLAIN, **SECRETS}.items():
        monkeypatch.setenv(variable, value)


def values(settings: Settings) -> list[str]:
    """Return the secrets that were read."""
    names = [variable.removeprefix("CASHBACK_").lower() for variable in SECRETS]
    found = [getattr(settings, name) for name in names if hasattr(settings, name)]
    return [value if isinstance(value, str) else value.get_secret_value() for value in found]


@pytest.mark.parametrize("process", PROCESSES)
def test_no_secret_shows_in_what_settings_say_of_themselves(process: type[Settings]) -> None:
    settings = load(process)

    assert all(CANARY in value for value in values(settings))
    assert CANARY not in repr(settings) + str(settings) + repr(settings.redis_server)


@pytest.mark.parametrize("process", PROCESSES)
def test_each_secret_can_stand_in_a_file(
    process: type[Settings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from_variables = load(process)
    for variable, value in SECRETS.items():
        path = tmp_path / variable
        path.write_text(value + "\n")
        monkeypatch.delenv(variable)
        monkeypatch.setenv(f"{variable}_FILE", str(path))

    assert values(load(process)) == values(from_variables)


def test_a_secret_in_two_places_is_one_too_many(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CASHBACK_CLIENT_SECRET_FILE", str(tmp_path / "secret"))

    with pytest.raises(
        SettingsError, match="CASHBACK_CLIENT_SECRET and CASHBACK_CLIENT_SECRET_FILE are both"
    ):
        load(WorkerSettings)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff", "no text"),
        (b"x" * 70_000, "longer"),
    ],
    ids=["nothing there", "empty", "an empty line", "no text", "far too long"],
)
def test_a_file_without_a_secret_ends_the_start_with_a_sentence(
    content: bytes | None, why: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.delenv("CASHBACK_CLIENT_SECRET")
    monkeypatch.setenv("CASHBACK_CLIENT_SECRET_FILE", str(path))

    with pytest.raises(SettingsError, match=f"CASHBACK_CLIENT_SECRET_FILE: {path}.*{why}"):
        load(WorkerSettings)
