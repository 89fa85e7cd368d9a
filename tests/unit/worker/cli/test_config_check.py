"""`cashback config check` says what each process would run with, as the process reads it, and no secret."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from producer.shared.settings.environment import SettingsError, load
from producer.shared.settings.receiver import ReceiverSettings
from tests.support.output_schemas import assert_fits
from worker.cli import cashback
from worker.cli.queries.settings import masked
from worker.settings import WorkerSettings

RIGHT = {
    "DATABASE_URL": "postgresql://worker:s3cret@db.test/cashback?sslpassword=s3cret",
    "REDIS_URL": "rediss://worker:s3:cr@et@redis.test/0",
    "BETCORE_URL": "https://betcore.test",
    "TOKEN_CLIENT_ID": "PartnerClient-1",
    "CLIENT_ID": "PartnerClient-1",
    "CLIENT_SECRET": "s3cret",
}
Check = Callable[..., Result]


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Check:
    for name in [name for name in os.environ if name.upper().startswith("CASHBACK_")]:
        monkeypatch.delenv(name)

    def run(*arguments: str, **settings: str) -> Result:
        for name, value in settings.items():
            monkeypatch.setenv(f"CASHBACK_{name}", value)
        return CliRunner().invoke(cashback, ["config", "check", *arguments])

    return run


def document_of(result: Result) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(result.stdout)
    assert_fits("config-check", document)
    return document


def setting(document: dict[str, Any], variable: str) -> dict[str, Any]:
    [found] = [each for each in document["settings"] if each["variable"] == variable]
    return dict(found)


def test_settings_that_are_right_are_told_with_their_sources_and_without_secrets(
    check: Check, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_text("s3cret\n")

    result = check(
        "--json", **{**RIGHT, "CLIENT_SECRET": "", "CLIENT_SECRET_FILE": str(file), "PARTNERS": "edge"}
    )

    document = document_of(result)
    assert (result.exit_code, document["is_right"], document["unknown"]) == (0, True, [])
    assert "s3" not in result.stdout.replace("CASHBACK", "")
    assert setting(document, "CASHBACK_CLIENT_SECRET")["source"] == f"file {file}"
    assert setting(document, "CASHBACK_DATABASE_URL")["value"] == (
        "postgresql://worker:***@db.test/cashback?sslpassword=***"
    )
    assert setting(document, "CASHBACK_REDIS_URL")["value"] == "rediss://worker:***@redis.test/0"
    assert setting(document, "CASHBACK_PARTNERS") == {
        "variable": "CASHBACK_PARTNERS",
        "value": "edge",
        "source": "environment",
        "used_by": ["receiver", "worker"],
    }
    assert setting(document, "CASHBACK_DEADLINE_SECONDS")["value"] == "30"
    assert setting(document, "CASHBACK_DEADLINE_SECONDS")["source"] == "default"


@pytest.mark.parametrize(
    ("process", "settings_class"), [("worker", WorkerSettings), ("receiver", ReceiverSettings)]
)
def test_what_a_process_refuses_at_its_start_is_refused_in_the_same_words(
    check: Check, process: str, settings_class: type[WorkerSettings] | type[ReceiverSettings]
) -> None:
    result = check("--process", process, "--json", **RIGHT, DEADLINE_SECONDS="4")

    with pytest.raises(SettingsError) as refused:
        load(settings_class)
    [told] = document_of(result)["processes"]
    assert (result.exit_code, told["is_right"]) == (2, False)
    assert "; ".join(told["faults"]) == str(refused.value)


def test_a_way_to_betcore_that_a_process_would_refuse_is_refused(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "[::1]")

    document = document_of(check("--json", **RIGHT))

    wrong = {each["process"] for each in document["processes"] if not each["is_right"]}
    assert wrong == {"receiver", "worker"}


def test_a_secret_file_that_cannot_be_read_is_a_fault_of_who_reads_it(check: Check, tmp_path: Path) -> None:
    settings = {**RIGHT, "CLIENT_SECRET": "", "CLIENT_SECRET_FILE": str(tmp_path / "none")}

    document = document_of(check("--json", **settings))

    wrong = {each["process"]: each["faults"] for each in document["processes"] if not each["is_right"]}
    assert list(wrong) == ["worker"]
    assert "CASHBACK_CLIENT_SECRET_FILE" in wrong["worker"][0]


@pytest.mark.parametrize(
    ("name", "meant", "exit_code"),
    [
        ("DEADLINE_SECOND", "CASHBACK_DEADLINE_SECONDS", 2),
        ("CLIENTSECRET", "CASHBACK_CLIENT_SECRET", 2),
        ("OF_ANOTHER_PROGRAM", None, 0),
    ],
)
def test_a_name_that_nobody_reads_is_told_with_the_one_that_was_meant(
    check: Check, name: str, meant: str | None, exit_code: int
) -> None:
    result = check("--json", **RIGHT, **{name: "s3cret"})

    assert document_of(result)["unknown"] == [{"variable": f"CASHBACK_{name}", "did_you_mean": meant}]
    assert result.exit_code == exit_code
    assert "s3cret" not in result.stdout


def test_names_of_compose_and_flower_are_no_slips(check: Check) -> None:
    names = ("FLOWER_BASIC_AUTH", "REDIS_WORKER_PASSWORD", "PERSON", "RECEIVER_URL", "IMAGE_TAG")

    assert check(**RIGHT, **dict.fromkeys(names, "x")).exit_code == 0


def test_the_text_is_readable_at_80_columns_and_without_secrets(check: Check) -> None:
    result = check(**{**RIGHT, "CLIENT_SECRET": ""}, DEADLINE_SECOND="9")

    assert result.exit_code == 2
    assert "wrong  worker" in result.stdout
    assert "did you mean CASHBACK_DEADLINE_SECONDS?" in result.stdout
    assert "s3" not in result.stdout
    assert all(len(line) <= 80 or "://" in line for line in result.stdout.splitlines())


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:6379/0", "redis://h:6379/0"),
        ("redis://:pa;ss@h/0", "redis://:***@h/0"),
        ("sentinel://u:one@h;sentinel://u:two@i/0", "sentinel://u:***@h;sentinel://u:***@i/0"),
        (
            "postgresql://u:a@b:c@h/d?password=x&sslmode=require",
            "postgresql://u:***@h/d?password=***&sslmode=require",
        ),
    ],
)
def test_a_url_is_shown_without_its_passwords(url: str, shown: str) -> None:
    assert masked("redis_url", WorkerSettings.model_fields["redis_url"], url) == shown
