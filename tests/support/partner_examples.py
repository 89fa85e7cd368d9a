"""The examples of `docs/contract`, what each needs on this machine, and a directory to run them in."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local.environment import ROOT
from tests.support.contract_files import CONTRACT

PAPER: Final = ROOT / "docs" / "partners.md"
NODE_MODULES: Final = ROOT / "var" / "partners" / "node_modules"
"""What `make test-partners` installs for the example in Node."""

# The end of a hang, far above what a slow machine takes; each example bounds its own waiting.
END_SECONDS: Final = 240.0


@dataclass(frozen=True, slots=True)
class Example:
    """One example: the program that runs it, and the Debian package of each program that it needs."""

    name: str
    program: str
    packages: Mapping[str, str]

    @property
    def missing(self) -> str | None:
        """What to install before it can run, in a sentence; None where all is there."""
        for program, package in self.packages.items():
            if shutil.which(program) is None:
                return f"No {program} is on the PATH: install it (Debian: apt-get install {package})"
        if self.program == "node" and not (NODE_MODULES / "ioredis").is_dir():
            return f"No ioredis is in {NODE_MODULES}: `make test-partners` installs it"
        return None


BY_REDIS: Final = (
    Example("send.mjs", "node", {"node": "nodejs"}),
    Example("send.sh", "bash", {"redis-cli": "redis-tools", "curl": "curl"}),
    Example("send.php", "php", {"php": "php-cli"}),
)
BY_HTTP: Final = Example("post_events.sh", "bash", {"curl": "curl"})


@dataclass(frozen=True, slots=True)
class Desk:
    """A directory with what a partner is given, `docs/contract` and `docs/partners.md`, and nothing else."""

    directory: Path

    @classmethod
    def laid(cls, directory: Path) -> "Desk":
        """Lay it, with what npm would have put there."""
        (directory / "docs").mkdir(parents=True)
        shutil.copytree(CONTRACT, directory / "docs" / "contract")
        shutil.copy(PAPER, directory / "docs" / "partners.md")
        if NODE_MODULES.is_dir():
            (directory / "node_modules").symlink_to(NODE_MODULES)
        return cls(directory)

    def run(self, example: Example, order: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run an example with this order for the simulated BETCORE and no other variables than these."""
        return subprocess.run(
            [example.program, f"docs/contract/examples/{example.name}", order],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=END_SECONDS,
            cwd=self.directory,
            env={"PATH": os.environ["PATH"], **environ},
        )
