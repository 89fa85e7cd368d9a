"""`python -m tests.benchmarks`: the benchmarks. The composition root of their runner."""

import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeAlias

import click
import httpx
import psycopg
import redis

from deploy.local.environment import ROOT
from deploy.local.errors import LocalError
from deploy.local.stack.up import Stopped, stopped_by_signals
from tests.benchmarks import growth, latency, memory, receiver, settlement, storage
from tests.benchmarks.ill import table as ill
from tests.benchmarks.measure import Table
from tests.benchmarks.neighbours import table as neighbours
from tests.benchmarks.plots import draw
from tests.benchmarks.report import build_report, measured_part, replace_measured, tables_of
from tests.benchmarks.rig import Rig

TABLES: Final[dict[str, ModuleType]] = {
    "receiver": receiver,
    "settlement": settlement,
    "latency": latency,
    "growth": growth,
    "memory": memory,
    "storage": storage,
    "ill": ill,
    "neighbours": neighbours,
}
REPORT_NAME: Final = "report.json"
DOCUMENT: Final = ROOT / "docs/performance.md"
PICTURES: Final = ROOT / "docs/performance"
DEFAULT_DIRECTORY: Final = Path("var/bench")
FULL_ROUNDS: Final = 3
_PACKAGES: Final = (
    *("celery", "kombu", "redis", "psycopg", "httpx", "starlette", "uvicorn", "pyjwt", "cryptography"),
    *("fastapi", "sqlalchemy", "dramatiq", "taskiq", "taskiq-redis"),
)


Measured: TypeAlias = tuple[Table, dict[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What to run."""

    directory: Path
    tables: Sequence[str]
    rounds: int
    quick: bool


@click.group()
def main() -> None:
    """Measure how fast it is, beside its limits and what others would have built."""


@main.command()
@click.option("--table", "tables", type=click.Choice(list(TABLES)), multiple=True, help="Default: all.")
@click.option("--rounds", type=click.IntRange(min=1), default=None, help="Default: 3, quick: 1.")
@click.option("--quick", is_flag=True, help="Show that everything runs, in minutes.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_DIRECTORY,
    show_default=True,
    help="Data, logs, pictures and report.json. Signed tokens there are used again.",
)
def run(*, tables: tuple[str, ...], rounds: int | None, quick: bool, directory: Path) -> None:
    """Measure tables, print them, write the report; ends with 1 where a table failed."""
    chosen = [name for name in TABLES if name in tables or not tables]
    options = RunOptions(
        directory=directory,
        tables=chosen,
        rounds=rounds or (1 if quick else FULL_ROUNDS),
        quick=quick,
    )
    try:
        with stopped_by_signals():
            report = run_tables(options)
    except Stopped:
        click.echo("Stopped.")
        sys.exit(130)
    except LocalError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    click.echo(measured_part(report, texts={}, plots={}))
    click.echo(f"\nReport: {directory / REPORT_NAME}")
    sys.exit(1 if report["failures"] else 0)


@main.command(name="list")
def list_tables() -> None:
    """Say which tables there are."""
    for name, module in TABLES.items():
        click.echo(f"{name:<12} {' '.join((module.__doc__ or '').split(chr(10) * 2)[0].split())}")


@main.command()
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=DEFAULT_DIRECTORY,
    show_default=True,
)
def document(*, directory: Path) -> None:
    """Put the last run's tables and pictures into docs/performance.md."""
    report = json.loads((directory / REPORT_NAME).read_text("utf-8"))
    drawn = {table.name: draw(table, PICTURES) for table in tables_of(report)}
    plots = {
        name: path.relative_to(DOCUMENT.parent).as_posix() for name, path in drawn.items() if path is not None
    }
    texts = {name: description(module) for name, module in TABLES.items()}
    part = measured_part(report, texts=texts, plots=plots)
    DOCUMENT.write_text(replace_measured(DOCUMENT.read_text("utf-8"), part), "utf-8")


def run_tables(options: RunOptions) -> dict[str, Any]:
    """Run tables on one rig, one after the other, and write the report.

    A table that fails is left out, and the others are still run.
    """
    begun = time.monotonic()
    measured: dict[str, Measured] = {}
    failures: dict[str, str] = {}
    with Rig(options.directory) as rig:
        facts = _facts(rig, options)
        for name in options.tables:
            try:
                measured[name] = _measure(rig, name, options)
            except (LocalError, httpx.HTTPError, psycopg.Error, redis.RedisError) as error:
                failures[name] = f"{type(error).__name__}: {error}"
                click.echo(f"{name} failed: {failures[name]}", err=True)
            rig.stop_processes()
    facts["seconds"] = round(time.monotonic() - begun, 1)
    tables = [table for table, _ in measured.values()]
    ratios = {name: ratio for _, own in measured.values() for name, ratio in own.items()}
    report = build_report(facts=facts, tables=tables, ratios=ratios, failures=failures)
    path = options.directory / REPORT_NAME
    path.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    for table in tables:
        draw(table, options.directory)
    return report


def _measure(rig: Rig, name: str, options: RunOptions) -> Measured:
    measured: Measured = TABLES[name].measure(rig, rounds=options.rounds, quick=options.quick, say=click.echo)
    return measured


def description(module: ModuleType) -> str:
    """Return what a table's module says of it, but for the first line, in Markdown."""
    return (module.__doc__ or "").partition("\n\n")[2].strip()


def _facts(rig: Rig, options: RunOptions) -> dict[str, Any]:
    packages = {name: metadata.version(name) for name in _PACKAGES}
    return {
        "form": "quick" if options.quick else "full",
        "rounds": options.rounds,
        "machine": {
            "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "processor": platform.machine(),
            "system": platform.system(),
        },
        "versions": {"Python": platform.python_version(), **rig.versions(), **packages},
    }


if __name__ == "__main__":
    main()
