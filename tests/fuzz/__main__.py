"""`python -m tests.fuzz`: hostile input for all that reads what others send."""

import json
import math
import os
import secrets
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from tests.fuzz.generated import generated
from tests.fuzz.parts import GENERATED, TOOLS, Bounds, NoAtheris, run_part, said
from tests.fuzz.quiet import hush
from tests.fuzz.report import Part, report_of, show
from tests.fuzz.targets import TARGETS

REPORT_NAME: Final = "report.json"
# Hypothesis makes better inputs and fewer of them: atheris has the rest.
_GENERATED_SHARE: Final = 0.02
_MAX_SEED: Final = 2**31
_COLUMNS: Final = 160

_directory = click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("var/fuzz"),
    show_default=True,
    help="Inputs that found something, what atheris has learned, and report.json.",
)
_name = click.argument("name", type=click.Choice(list(TARGETS)))


@click.group()
def main() -> None:
    """Give hostile input to all that reads what others send."""


@main.command()
@click.option("--cases", type=click.IntRange(min=1), default=1_000_000, show_default=True, help="In all.")
@click.option("--minutes", type=click.FloatRange(min=0), default=0.0, help="In all, instead of --cases.")
@click.option("--seed", type=click.IntRange(min=0), default=None, help="Draws the same inputs again.")
@click.option("--target", "names", type=click.Choice(list(TARGETS)), multiple=True, help="Default: all.")
@click.option("--tool", "tools", type=click.Choice(TOOLS), multiple=True, help="Default: both.")
@_directory
def run(  # noqa: PLR0913 - the options of a command
    *,
    cases: int,
    minutes: float,
    seed: int | None,
    names: tuple[str, ...],
    tools: tuple[str, ...],
    directory: Path,
) -> None:
    """Fuzz the targets; ends with 1 when one of them does not do what it says."""
    seed = secrets.randbelow(_MAX_SEED) if seed is None else seed
    console = Console(width=_COLUMNS)
    console.print(f"seed {seed}", highlight=False)
    started = time.monotonic()
    names, tools = names or tuple(TARGETS), tools or TOOLS
    shares = sum(TARGETS[name].share for name in names)
    # Each is a process: a thread only waits for it.
    at_once = min(os.cpu_count() or 1, len(names))

    def fuzz(name: str) -> list[Part]:
        part = TARGETS[name].share / shares
        done: list[Part] = []
        for tool in tools:
            seconds = minutes * 60 * at_once * part
            bounds = _bounds(tool, cases=math.ceil(cases * part), seconds=seconds, tools=tools)
            outcome = run_part(TARGETS[name], tool, bounds, seed=seed, directory=directory)
            done.append(Part(name, tool, outcome))
            console.print(f"{name} {tool} {outcome.cases:,}", highlight=False)
        return done

    with ThreadPoolExecutor(at_once) as threads:
        try:
            parts = [part for done in threads.map(fuzz, names) for part in done]
        except NoAtheris as error:
            raise click.ClickException(str(error)) from None
    report = report_of(parts, seed=seed, seconds=time.monotonic() - started)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / REPORT_NAME).write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    show(parts, report, console)
    sys.exit(1 if report["found"] else 0)


@main.command()
@_name
@click.option("--cases", type=click.IntRange(min=1), required=True)
@click.option("--seed", type=click.IntRange(min=0), required=True)
@_directory
def generate(*, name: str, cases: int, seed: int, directory: Path) -> None:
    """Fuzz one target with Hypothesis, and say in one line of JSON what came of it."""
    hush()
    click.echo(said(generated(TARGETS[name], cases=cases, seed=seed, directory=directory)))


@main.command()
@_name
@click.argument(
    "files", type=click.Path(path_type=Path, exists=True, dir_okay=False), nargs=-1, required=True
)
def replay(*, name: str, files: tuple[Path, ...]) -> None:
    """Give a target inputs from files, and fail as it does."""
    for path in files:
        TARGETS[name].check(path.read_bytes())
        click.echo(f"{path}: good")


@main.command(name="list")
def list_targets() -> None:
    """Say which targets there are, and what is demanded of each."""
    for target in TARGETS.values():
        click.echo(f"{target.name:16} {(target.check.__doc__ or '').splitlines()[0]}")


def _bounds(tool: str, *, cases: int, seconds: float, tools: tuple[str, ...]) -> Bounds:
    share = 1.0
    if len(tools) > 1:
        share = _GENERATED_SHARE if tool == GENERATED else 1 - _GENERATED_SHARE
    count = max(1, round(cases * share))
    return Bounds(cases=count, seconds=seconds * share if seconds and tool != GENERATED else None)


if __name__ == "__main__":
    main()
