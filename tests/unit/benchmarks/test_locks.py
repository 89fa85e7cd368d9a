"""Lock files of benchmarks and fuzzing: pinned by hash, free of hosts, on the versions that are tested."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.local.environment import ROOT

BENCH = "tests/benchmarks/bench.lock"
ARQ = "tests/benchmarks/arq.lock"
FUZZ = "tests/fuzz/fuzz.lock"
PINNED = re.compile(r"[a-z0-9-]+==\S+( ; .+?)?( --hash=sha256:[0-9a-f]{64})+")


def lines_of(name: str) -> list[str]:
    """Return a lock file's requirements, each in one line and without comments."""
    text = (ROOT / name).read_text("utf-8")
    bare = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return [" ".join(line.split()) for line in bare.replace("\\\n", " ").splitlines() if line.strip()]


def pins_of(name: str) -> dict[str, set[str]]:
    """Return the versions by package: more than one where Python's version decides."""
    pins: dict[str, set[str]] = {}
    for line in lines_of(name):
        requirement = Requirement(line.split(" --hash")[0])
        [specifier] = requirement.specifier
        pins.setdefault(canonicalize_name(requirement.name), set()).add(specifier.version)
    return pins


@pytest.mark.parametrize("name", [BENCH, ARQ, FUZZ])
def test_a_lock_file_pins_by_hash_and_names_no_place(name: str) -> None:
    lines = lines_of(name)

    assert len(lines) > 20
    assert [line for line in lines if not PINNED.fullmatch(line)] == []
    assert "://" not in (ROOT / name).read_text("utf-8")


@pytest.mark.parametrize("name", [BENCH, FUZZ])
def test_what_is_measured_and_fuzzed_is_what_is_tested(name: str) -> None:
    measured = pins_of(name)

    for package, versions in pins_of("requirements-dev.lock").items():
        assert measured[package] == versions, package


@pytest.mark.parametrize(("name", "group"), [(BENCH, "bench"), (ARQ, "bench-arq"), (FUZZ, "fuzz")])
def test_the_locks_satisfy_their_groups(name: str, group: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    pins = pins_of(name)

    for line in project["dependency-groups"][group]:
        requirement = Requirement(line)
        versions = pins.get(canonicalize_name(requirement.name), set())
        assert versions, f"{requirement.name} is missing in {name}: run `make lock`"
        assert all(requirement.specifier.contains(version) for version in versions), line
