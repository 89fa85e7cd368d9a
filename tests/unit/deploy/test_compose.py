"""docker-compose.yml: valid by the published schema, equal to the Procfile, and safe to scale and to stop."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from honcho.environ import parse_procfile

from deploy.local.environment import ROOT
from producer.server import GRACEFUL_SECONDS
from producer.shared.settings.agreed import SharedSettings

COMPOSE = ROOT / "docker-compose.yml"
REQUIRED = {
    *(f"CASHBACK_REDIS_{role}_PASSWORD" for role in ("RECEIVER", "WORKER", "FLOWER", "OPERATOR")),
    "CASHBACK_DATABASE_PASSWORD",
    "CASHBACK_RECEIVER_ROLE_PASSWORD",
    "CASHBACK_WORKER_ROLE_PASSWORD",
    "CASHBACK_OPERATOR_ROLE_PASSWORD",
    "CASHBACK_BETCORE_URL",
    "CASHBACK_TOKEN_CLIENT_ID",
    "CASHBACK_FLOWER_BASIC_AUTH",
}
UNITS_IN_BYTES = {"k": 2**10, "m": 2**20, "g": 2**30}


@pytest.fixture
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(COMPOSE.read_text("utf-8"))
    return document


@pytest.fixture
def commands() -> dict[str, str]:
    return dict(parse_procfile((ROOT / "Procfile").read_text("utf-8")).processes)


def validate(path: Path) -> subprocess.CompletedProcess[str]:
    """Check a file against the published compose schema, which ships with check-jsonschema."""
    return subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )


def seconds_of(duration: str) -> int:
    assert duration.endswith("s")
    return int(duration.removesuffix("s"))


def bytes_of(size: str) -> int:
    return int(size.lower().removesuffix("b")[:-1]) * UNITS_IN_BYTES[size.lower().removesuffix("b")[-1]]


def test_the_file_is_valid_by_the_published_schema() -> None:
    result = validate(COMPOSE)

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("whole", "broken", "complaint"),
    [
        ("stop_grace_period: 40s", "stop_grace_time: 40s", "stop_grace_time"),
        ("condition: service_completed_successfully", "condition: service_completed", "service_completed"),
        ("cap_drop: [ALL]", "cap_drop: ALL", "cap_drop"),
        ("\nvolumes:\n", "\nvolume:\n", "volume"),
    ],
)
def test_a_broken_file_is_told_from_a_valid_one(
    tmp_path: Path, whole: str, broken: str, complaint: str
) -> None:
    text = COMPOSE.read_text("utf-8")
    assert whole in text
    (tmp_path / "docker-compose.yml").write_text(text.replace(whole, broken), "utf-8")

    result = validate(tmp_path / "docker-compose.yml")

    assert result.returncode == 1
    assert complaint in result.stdout + result.stderr


@pytest.mark.parametrize("process", ["release", "web", "worker", "flower"])
def test_a_service_runs_the_command_of_the_procfile(
    compose: dict[str, Any], commands: dict[str, str], process: str
) -> None:
    *shell, command = compose["services"][process]["command"]

    assert shell == ["sh", "-c"]
    assert command.replace("$$", "$") == commands[process]
    # A single dollar would be replaced by the engine, not by the shell in the container.
    assert "$" not in command.replace("$$", "")


def test_there_is_a_service_for_each_process_one_for_each_store_and_the_command(
    compose: dict[str, Any], commands: dict[str, str]
) -> None:
    assert set(compose["services"]) == {*commands, "valkey", "postgres", "operator"}


def test_the_worker_can_be_scaled(compose: dict[str, Any]) -> None:
    worker = compose["services"]["worker"]

    assert not {"container_name", "hostname", "ports"} & set(worker)


@pytest.mark.parametrize(
    ("process", "role"), [("web", "receiver"), ("worker", "worker"), ("operator", "operator")]
)
def test_each_process_has_a_role_of_its_own_and_no_others_password(
    compose: dict[str, Any], process: str, role: str
) -> None:
    settings = compose["services"][process]["environment"]
    release = compose["services"]["release"]["environment"]
    password = f"CASHBACK_{role.upper()}_ROLE_PASSWORD"

    assert settings["CASHBACK_DATABASE_URL"].startswith(
        f"postgresql://{release['CASHBACK_DATABASE_ROLES']}_{role}:${{{password}:?"
    )
    assert set(re.findall(r"CASHBACK_\w+_(?:ROLE|DATABASE)_PASSWORD", str(settings))) == {password}
    assert password in release


def test_the_reader_has_a_password_where_one_is_set_and_no_process_has_it(compose: dict[str, Any]) -> None:
    has = {
        name: settings["CASHBACK_READER_ROLE_PASSWORD"]
        for name, service in compose["services"].items()
        if "CASHBACK_READER_ROLE_PASSWORD" in (settings := service.get("environment", {}))
    }

    assert has == {"release": "${CASHBACK_READER_ROLE_PASSWORD:-}"}


@pytest.mark.parametrize("process", ["web", "worker"])
def test_nothing_starts_before_the_schema_is_there(compose: dict[str, Any], process: str) -> None:
    conditions = {
        name: needed["condition"] for name, needed in compose["services"][process]["depends_on"].items()
    }

    assert conditions == {
        "release": "service_completed_successfully",
        "valkey": "service_healthy",
        "postgres": "service_healthy",
    }
    assert compose["services"]["release"]["restart"] == "no"


def test_the_users_of_valkey_are_those_of_their_file(compose: dict[str, Any]) -> None:
    content = compose["configs"]["valkey-users"]["content"]
    # The engine fills them in: with a complaint where they are not set, and the partner's only where it is.
    content = re.sub(r"\$\{(\w+):\?[^}]*\}", r"${\1}", content)
    content = re.sub(r"\$\{(\w+):\+on >\}\$\{\1:-\}", r"on >${\1}", content)
    lines = (ROOT / "deploy/redis/users.conf").read_text("utf-8").splitlines()

    assert content.splitlines() == [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize(
    ("process", "role"), [("web", "receiver"), ("worker", "worker"), ("flower", "flower")]
)
def test_each_process_is_a_user_of_its_own_at_valkey(
    compose: dict[str, Any], process: str, role: str
) -> None:
    url = compose["services"][process]["environment"]["CASHBACK_REDIS_URL"]

    password = f"${{CASHBACK_REDIS_{role.upper()}_PASSWORD:?set the password of cashback-{role} at Valkey}}"
    assert url == f"redis://cashback-{role}:{password}@valkey:6379/0"


def test_no_secret_has_a_default() -> None:
    uses = re.findall(r"(?<!\$)\$\{(\w+)([^}]*)\}", COMPOSE.read_text("utf-8"))
    mandatory = {name for name, modifier in uses if modifier.startswith(":?") and len(modifier) > 2}

    assert mandatory == REQUIRED
    assert {name for name, modifier in uses if not modifier.startswith(":?")}.isdisjoint(REQUIRED)
    # Id with secret, or a static token: which of the two is for the worker to check, so both may be empty.
    assert {modifier for name, modifier in uses if name.endswith(("_SECRET", "_TOKEN"))} == {":-"}


def test_all_that_stays_up_is_watched_restarted_and_bounded(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        limits = service["deploy"]["resources"]["limits"]
        assert {"cpus", "memory", "pids"} <= set(limits), name
        if name not in {"release", "operator"}:
            assert service["restart"] == "unless-stopped", name
            assert service["healthcheck"]["test"], name
            assert service["healthcheck"]["interval"], name


def test_our_own_containers_can_change_nothing_of_themselves(compose: dict[str, Any]) -> None:
    for name in ("release", "web", "worker", "flower", "operator"):
        service = compose["services"][name]
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_a_worker_is_given_the_time_to_finish_every_event_in_hand(compose: dict[str, Any]) -> None:
    deadline_seconds = SharedSettings.model_fields["deadline_seconds"].default

    assert seconds_of(compose["services"]["worker"]["stop_grace_period"]) > deadline_seconds


def test_the_receiver_is_given_longer_than_its_server_takes(compose: dict[str, Any]) -> None:
    assert seconds_of(compose["services"]["web"]["stop_grace_period"]) > GRACEFUL_SECONDS


def test_valkey_refuses_writes_before_the_engine_kills_it(compose: dict[str, Any]) -> None:
    directives = dict(
        line.split(maxsplit=1)
        for line in (ROOT / "deploy/valkey.conf").read_text("utf-8").splitlines()
        if line and not line.startswith("#")
    )
    limit = compose["services"]["valkey"]["deploy"]["resources"]["limits"]["memory"]

    # A rewrite of the append-only file may copy every page once.
    assert 2 * bytes_of(directives["maxmemory"]) <= bytes_of(limit)


def test_the_stores_are_out_of_reach_from_outside(compose: dict[str, Any]) -> None:
    for name in ("valkey", "postgres"):
        assert "ports" not in compose["services"][name]
        assert compose["services"][name]["networks"] == ["inside"]
    assert compose["networks"]["inside"] == {"internal": True}


def test_the_login_of_flower_does_not_travel_the_network_in_clear_text(compose: dict[str, Any]) -> None:
    assert all(port.startswith("127.0.0.1:") for port in compose["services"]["flower"]["ports"])
