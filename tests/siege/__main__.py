"""`python -m tests.siege`: floods and stalls against a real receiver on this machine. Composition root."""

import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
import httpx
import psycopg
import redis
from rich.console import Console

from deploy.local.environment import ROOT
from deploy.local.errors import LocalError
from deploy.local.stack.up import Stopped, fail, stopped_by_signals
from deploy.local.steps import FORESEEN
from tests.benchmarks.report import replace_measured
from tests.benchmarks.rig import Rig
from tests.siege.catalogue import ATTACKS
from tests.siege.report import build_report, markdown_of, row_of, show
from tests.siege.run import Siege
from tests.siege.senders.plans import MAX_SECONDS

REPORT_NAME: Final = "report.json"
DOCUMENT: Final = ROOT / "docs/security.md"
DEFAULT_DIRECTORY: Final = Path("var/siege")
DEFAULT_SEED: Final = 17
_DEFAULT_SECONDS: Final = 8.0
_TABLE_COLUMNS: Final = 240

_directory = click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_DIRECTORY,
    show_default=True,
    help="Data, logs and report.json. Signed tokens there are used again.",
)


@click.group()
def main() -> None:
    """Attack a receiver of our own, on this machine, and see what honest makes keep."""


@main.command()
@click.option("--attack", "names", type=click.Choice(list(ATTACKS)), multiple=True, help="Default: all.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=1, max=MAX_SECONDS),
    default=_DEFAULT_SECONDS,
    show_default=True,
    help="How long each attack is.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=DEFAULT_SEED,
    show_default=True,
    help="What junk is drawn from.",
)
@_directory
def run(*, names: tuple[str, ...], seconds: float, seed: int, directory: Path) -> None:
    """Lay the attacks, print the table, write the report; ends with 1 where one was not held."""
    chosen = [name for name in ATTACKS if name in names or not names]
    console = Console(width=None if sys.stdout.isatty() else _TABLE_COLUMNS)
    try:
        with stopped_by_signals():
            report = lay_all(chosen, directory=directory, seconds=seconds, seed=seed)
    except Stopped:
        click.echo("Stopped.")
        sys.exit(130)
    except FORESEEN as error:
        fail(error, directory)
    show(console, report)
    console.print(f"Report: {directory / REPORT_NAME}", soft_wrap=True)
    sys.exit(0 if report["ok"] else 1)


@main.command(name="list")
def list_attacks() -> None:
    """Say which attacks there are."""
    for name, attack in ATTACKS.items():
        click.echo(f"{name:<28} {attack.title}")


@main.command()
@_directory
def document(*, directory: Path) -> None:
    """Put the last run's table into docs/security.md."""
    report = json.loads((directory / REPORT_NAME).read_text("utf-8"))
    DOCUMENT.write_text(replace_measured(DOCUMENT.read_text("utf-8"), markdown_of(report)), "utf-8")


def lay_all(names: Sequence[str], *, directory: Path, seconds: float, seed: int) -> dict[str, Any]:
    """Lay attacks on one rig, one after the other, and write the report after each.

    One that cannot be laid is told, and the others go on.
    """
    begun, load = time.monotonic(), os.getloadavg()[0]
    report: dict[str, Any] = {}
    rows: dict[str, Any] = {}
    failures: dict[str, str] = {}
    click.echo(f"Starting servers in {directory} and signing makes (the first time takes minutes)")
    with Rig(directory) as rig, Siege(rig, seconds=seconds, seed=seed) as siege:
        for number, name in enumerate(names, start=1):
            click.echo(f"{number}/{len(names)} {ATTACKS[name].title}")
            try:
                rows[name] = row_of(ATTACKS[name], siege.lay(ATTACKS[name], say=click.echo))
            except (LocalError, httpx.HTTPError, psycopg.Error, redis.RedisError) as error:
                failures[name] = f"{type(error).__name__}: {error}"
                click.echo(f"  could not be laid: {failures[name]}", err=True)
            facts = {
                "seed": seed,
                "attack_seconds": seconds,
                "seconds": round(time.monotonic() - begun, 1),
                "machine": {**_machine(), "load_before": round(load, 1)},
            }
            report = build_report(facts=facts, rows=rows, failures=failures)
            (directory / REPORT_NAME).write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    return report


def _machine() -> dict[str, Any]:
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cpus": cpus, "processor": platform.machine(), "system": platform.system()}


if __name__ == "__main__":
    main()
