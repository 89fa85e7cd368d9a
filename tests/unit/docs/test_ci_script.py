"""What `.ci/run` runs, installs and leaves out: on a machine whose programs only note their calls."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from deploy.local.environment import ROOT

CHECKS: Final = (
    *("lint", "test", "test-browser", "test-pgbouncer", "test-partners"),
    *("fuzz", "faults", "faults-hosts"),
)
SENDERS: Final = {
    "node": "nodejs",
    "npm": "npm",
    "php": "php-cli",
    "redis-cli": "redis-tools",
    "curl": "curl",
}
_TOOLS: Final = ("bash", "dirname", "env", "grep", "mktemp", "rm", "tail", "tee", "timeout", "true")
_NOTES: Final = 'echo "${0##*/} $*" >>"$NOTES"\n'


@dataclass(frozen=True, slots=True)
class Machine:
    """The only folder with programs, and what was called in it."""

    programs: Path
    notes: Path

    def has(self, name: str, *, then: str = "") -> None:
        """Give it a program that notes its call."""
        path = self.programs / name
        path.write_text(f"#!{self.programs / 'bash'}\n{_NOTES}{then}\n", "utf-8")
        path.chmod(0o755)

    def run(self, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.programs / "bash", ROOT / ".ci" / "run"],
            check=False,
            capture_output=True,
            text=True,
            env={"PATH": str(self.programs), "NOTES": str(self.notes), **environ},
        )

    def calls(self, name: str) -> list[str]:
        lines = self.notes.read_text("utf-8").splitlines() if self.notes.exists() else []
        return [line for line in lines if line.startswith(f"{name} ")]

    def made(self) -> list[str]:
        """Return the checks that were made, by their name: some of them go side by side."""
        made = [line.rpartition(" ")[2] for line in self.calls("make")]
        assert not made or made[0] == ".venv/project"
        return sorted(made[1:])


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine with all that the checks need."""
    machine = Machine(tmp_path / "programs", tmp_path / "notes")
    machine.programs.mkdir()
    for tool in _TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (machine.programs / tool).symlink_to(found)
    for name in ("make", "apt-get", "chromium", "pgbouncer", "ip", "nft", *SENDERS):
        machine.has(name)
    # Whoever runs this test, root or not, the script can become root.
    machine.has("sudo", then='[[ $1 == -n ]] && shift; exec "$@"')
    return machine


def test_all_checks_run_and_nothing_is_installed_that_is_there(machine: Machine) -> None:
    done = machine.run()

    assert done.returncode == 0, done.stdout + done.stderr
    assert machine.made() == sorted(CHECKS)
    assert not machine.calls("apt-get")


@pytest.mark.parametrize(
    ("missing", "package"),
    [("nft", "nftables"), ("ip", "iproute2"), ("chromium", "chromium"), *SENDERS.items()],
)
def test_what_is_missing_is_installed(machine: Machine, missing: str, package: str) -> None:
    (machine.programs / missing).unlink()

    done = machine.run()

    assert done.returncode == 0, done.stdout + done.stderr
    assert [call for call in machine.calls("apt-get") if "install" in call and package in call]
    assert machine.made() == sorted(CHECKS)


def test_a_check_is_left_out_by_name_and_the_summary_says_so(machine: Machine) -> None:
    (machine.programs / "nft").unlink()

    done = machine.run(CASHBACK_CI_WITHOUT="faults-hosts test-browser")

    assert done.returncode == 0, done.stdout + done.stderr
    assert machine.made() == sorted({*CHECKS} - {"faults-hosts", "test-browser"})
    assert not machine.calls("apt-get")
    said = [line.split() for line in done.stdout.splitlines() if "left out by CASHBACK_CI_WITHOUT" in line]
    assert [words[0] for words in said] == ["test-browser", "faults-hosts"]


def test_hosts_that_cannot_be_built_fail_the_run(machine: Machine) -> None:
    machine.has("make", then="if [[ $* == *faults-hosts ]]; then exit 1; fi")

    done = machine.run()

    assert done.returncode == 1
    assert "FAILED: faults-hosts" in done.stdout
    assert machine.made() == sorted(CHECKS)


def test_what_goes_beside_others_is_shown_as_a_whole_and_fails_the_run(machine: Machine) -> None:
    machine.has("make", then="if [[ $* == *' lint' ]]; then echo one; echo two; exit 1; fi")

    done = machine.run()

    assert done.returncode == 1
    assert "=== lint\none\ntwo\n" in done.stdout
    assert done.stdout.endswith("FAILED: lint\n")
    summary = done.stdout.partition("=== summary")[2].splitlines()[1:-1]
    assert [line.split()[0] for line in summary] == list(CHECKS)
    assert summary[0].split()[:3] == ["lint", "exit", "1"]


@pytest.mark.parametrize("name", ["faults-host", "packages", "*"])
def test_an_unknown_name_is_no_way_to_leave_something_out(machine: Machine, name: str) -> None:
    done = machine.run(CASHBACK_CI_WITHOUT=name)

    assert done.returncode == 2
    assert f"'{name}'" in done.stderr
    assert not machine.made()
