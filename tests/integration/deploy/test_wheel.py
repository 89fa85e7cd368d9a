"""The wheels that the image installs: built from the tree, with all that the processes need at run time."""

import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

from deploy.local.environment import ROOT

CLIENT = ROOT / "producer/client"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return built(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def client_wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return built(CLIENT, tmp_path_factory.mktemp("dist"))


def built(source: Path, directory: Path) -> zipfile.ZipFile:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(directory)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    [path] = directory.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_every_file_of_the_schema(wheel: zipfile.ZipFile) -> None:
    in_tree = {str(path.relative_to(ROOT)) for path in (ROOT / "worker/schema").rglob("*.sql")}

    assert {Path(name).parent.name for name in in_tree} == {"tables", "trigger_functions", "functions"}
    assert in_tree <= set(wheel.namelist())


def test_the_wheel_holds_the_scripts_for_redis(wheel: zipfile.ZipFile) -> None:
    in_tree = {str(path.relative_to(ROOT)) for path in (ROOT / "worker/queue").rglob("*.lua")}

    assert "worker/queue/transport/scripts/take.lua" in in_tree
    assert in_tree <= set(wheel.namelist())


def test_the_wheel_holds_every_module_of_the_two_packages_and_no_test(wheel: zipfile.ZipFile) -> None:
    in_tree = {
        str(path.relative_to(ROOT))
        for package in ("producer", "worker")
        for path in (ROOT / package).rglob("*.py")
        if not path.is_relative_to(CLIENT)
    }

    assert in_tree <= set(wheel.namelist())
    assert not [name for name in wheel.namelist() if name.startswith(("tests/", "producer/client"))]


def test_the_clients_wheel_holds_its_package_with_types_and_nothing_else(
    client_wheel: zipfile.ZipFile,
) -> None:
    in_tree = {str(path.relative_to(CLIENT)) for path in (CLIENT / "cashback_client").rglob("*.py")}

    held = {name for name in client_wheel.namelist() if ".dist-info/" not in name}
    assert held == in_tree | {"cashback_client/py.typed"}


def test_the_wheel_brings_the_operators_command(wheel: zipfile.ZipFile) -> None:
    [name] = [name for name in wheel.namelist() if name.endswith(".dist-info/entry_points.txt")]
    entry_points = ConfigParser()
    entry_points.read_string(wheel.read(name).decode())

    assert dict(entry_points["console_scripts"]) == {"cashback": "worker.cli:main"}
