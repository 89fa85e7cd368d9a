"""The simulator is an independent witness: what it says of the service does not come from the service."""

import json
import subprocess
import sys
from pkgutil import walk_packages

import pytest

from deploy.local import simulator
from deploy.local.environment import ROOT
from deploy.local.simulator import protocol

WITNESS = "deploy.local.simulator"
WIRE = f"{WITNESS}.protocol"
LOADED = "import json, sys; json.dump([name for name in sys.modules], sys.stdout)"


def modules_of(path: list[str], package: str) -> list[str]:
    """Return the modules of a package that are there to be imported."""
    found = [module.name for module in walk_packages(path, f"{package}.")]
    return [name for name in found if not name.endswith("__main__")]


def loaded_with(names: list[str]) -> set[str]:
    """Return what a new process of Python has loaded once it has imported these."""
    program = f"import {', '.join(names)}; {LOADED}"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("package", ["cashback_client", "producer", "worker", "tests"])
def test_the_simulator_brings_nothing_of_the_service_with_it(package: str) -> None:
    loaded = loaded_with(modules_of(list(simulator.__path__), WITNESS))

    assert f"{WITNESS}.app" in loaded
    assert not {name for name in loaded if name.partition(".")[0] == package}


def test_the_wire_forms_bring_nothing_of_the_simulator_but_its_errors() -> None:
    loaded = loaded_with(modules_of(list(protocol.__path__), WIRE))

    ours = {name for name in loaded if name.startswith(f"{WITNESS}.") and not name.startswith(WIRE)}
    assert ours == {f"{WITNESS}.errors"}
    assert not loaded & {"httpx", "starlette", "uvicorn"}
