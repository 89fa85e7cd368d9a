"""The parts of a run: one target with one of both tools, each in a process of its own."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from deploy.local.environment import ROOT
from tests.fuzz.generated import Outcome
from tests.fuzz.kept import corpus, dictionary, keep
from tests.fuzz.target import Target

GENERATED: Final = "hypothesis"
GUIDED: Final = "atheris"
TOOLS: Final = (GENERATED, GUIDED)
# A case takes milliseconds; this is the end of a hang, on a slow machine, too.
_HANG_SECONDS: Final = 60
_MAX_MEMORY_MB: Final = 2_048
_DONE: Final = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_SHOWN_CHARS: Final = 4_000


class NoAtheris(Exception):
    """atheris is not installed here; `make fuzz` makes an environment that has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much of a target one tool does: so many cases, or so many seconds where they are given."""

    cases: int
    seconds: float | None = None


def run_part(target: Target, tool: str, bounds: Bounds, *, seed: int, directory: Path) -> Outcome:
    """Run a target with a tool; raises NoAtheris, or what subprocess raises for what is no finding."""
    run = _run_generated if tool == GENERATED else _run_guided
    return run(target, bounds, seed=seed, directory=directory)


def _run_generated(target: Target, bounds: Bounds, *, seed: int, directory: Path) -> Outcome:
    options = ["--cases", str(bounds.cases), "--seed", str(seed), "--directory", str(directory)]
    ended = _ended(["tests.fuzz", "generate", target.name, *options])
    if ended.returncode:
        raise subprocess.SubprocessError(f"{target.name}: {ended.stderr[-_SHOWN_CHARS:]}")
    said = json.loads(ended.stdout.splitlines()[-1])
    return Outcome(said["cases"], Path(said["found"]) if said["found"] else None, said["error"])


def said(outcome: Outcome) -> str:
    """Return an outcome as one line, for the process that waits for it."""
    return json.dumps(asdict(outcome) | {"found": outcome.found and str(outcome.found)})


def _run_guided(target: Target, bounds: Bounds, *, seed: int, directory: Path) -> Outcome:
    if find_spec("atheris") is None:
        raise NoAtheris
    artifacts = directory / "artifacts" / target.name
    artifacts.mkdir(parents=True, exist_ok=True)
    grown = directory / "corpus" / target.name
    grown.mkdir(parents=True, exist_ok=True)
    before = set(artifacts.iterdir())
    bound = f"-runs={bounds.cases}" if bounds.seconds is None else f"-max_total_time={round(bounds.seconds)}"
    ended = _ended(
        [
            *("tests.fuzz.guided", target.name, bound, f"-seed={max(1, seed)}", "-print_final_stats=1"),
            *(f"-timeout={_HANG_SECONDS}", f"-rss_limit_mb={_MAX_MEMORY_MB}", f"-max_len={target.max_bytes}"),
            *(f"-dict={dictionary(directory, target)}", f"-artifact_prefix={artifacts}/"),
            *(str(grown), str(corpus(directory, target))),
        ]
    )
    counted = _DONE.search(ended.stderr)
    cases = int(counted[1]) if counted else 0
    found = sorted(set(artifacts.iterdir()) - before)
    text = (ended.stdout + ended.stderr)[-_SHOWN_CHARS:]
    if found:
        return Outcome(cases, keep(directory, target, found[0].read_bytes()), text)
    if ended.returncode or counted is None:
        raise subprocess.SubprocessError(f"{target.name}: {text}")
    return Outcome(cases)


def _ended(module: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *module],
        cwd=ROOT,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
