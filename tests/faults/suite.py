"""Runs scenarios one after the other on one rig, and writes the report. The composition root of the suite."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg
import redis
from rich.console import Console
from rich.table import Table
from rich.text import Text

from deploy.local.errors import LocalError
from tests.faults.catalogue import SCENARIOS
from tests.faults.evidence import gather
from tests.faults.load import accounts_csv
from tests.faults.outcome import INVARIANTS, Outcome, judge
from tests.faults.plain_celery import measure_plain_celery
from tests.faults.rig import NO_SHEDDING, Rig, RigOptions
from tests.faults.scene import Form, RigT, Scene, SceneOf

REPORT_NAME: Final = "report.json"
BASELINE: Final = "plain-celery"


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteOptions:
    """What to run. `scenarios` are names of the catalogue, and may hold `plain-celery`.

    `sheds`: whether the receiver refuses what it expects to wait too long, as it does by default.
    """

    directory: Path
    seed: int
    form: Form
    scenarios: Sequence[str]
    sheds: bool = True

    def rig_options(self, *, prefixes: Sequence[str]) -> RigOptions:
        """Return what a rig needs to know, for scenarios whose users have these prefixes."""
        return RigOptions(
            directory=self.directory,
            accounts_csv=accounts_csv(prefixes),
            deadline_seconds=self.form.deadline_seconds,
            reserve_seconds=self.form.reserve_seconds,
            settings={} if self.sheds else NO_SHEDDING,
        )


def run_suite(options: SuiteOptions, *, console: Console) -> bool:
    """Run the scenarios, print their table, write the report; return whether all is good.

    Raises LocalError where the rig cannot be run.
    """
    begun = time.monotonic()
    outcomes: list[Outcome] = []
    names = [name for name in options.scenarios if name != BASELINE]
    if names:
        with Rig(options.rig_options(prefixes=options.scenarios)) as rig:
            for name in names:
                outcomes.append(_run(name, rig, options))
                say(console, outcomes[-1])
    baseline = None
    if BASELINE in options.scenarios:
        baseline = measure_plain_celery(
            options.directory / BASELINE,
            seed=options.seed,
            tasks=options.form.baseline_tasks,
            kills=options.form.baseline_kills,
        )
    return conclude(options, outcomes, baseline, seconds=time.monotonic() - begun, console=console)


def conclude(
    options: SuiteOptions,
    outcomes: Sequence[Outcome],
    baseline: dict[str, Any] | None = None,
    *,
    seconds: float,
    console: Console,
) -> bool:
    """Write the report, print the table, and return whether all is good."""
    report = _report(options, outcomes, baseline, seconds=seconds)
    options.directory.mkdir(parents=True, exist_ok=True)
    path = options.directory / REPORT_NAME
    path.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    _show(console, outcomes, baseline, path=path)
    return bool(report["ok"])


def _run(name: str, rig: Rig, options: SuiteOptions) -> Outcome:
    number = list(SCENARIOS).index(name) + 1
    scene = Scene(name, rig=rig, form=options.form, seed=options.seed, number=number)
    return run_scenario(SCENARIOS[name], scene, cutoff_seconds=rig.options.cutoff_seconds)


def run_scenario(
    scenario: Callable[[SceneOf[RigT]], None], scene: SceneOf[RigT], *, cutoff_seconds: float
) -> Outcome:
    """Run one scenario to the end of all its events, heal what it left, and check what became of it."""
    begun, rig = time.monotonic(), scene.rig
    makes_before, accepts_before = rig.log_totals()
    try:
        scenario(scene)
        scene.wait_for_ends()
    except (LocalError, httpx.HTTPError, psycopg.Error, redis.RedisError) as error:
        scene.unmet.append(f"the scenario broke off: {type(error).__name__}: {error}")
    try:
        scene.unmet += rig.heal()
    except LocalError as error:
        scene.unmet.append(f"not everything came back: {type(error).__name__}: {error}")
    evidence = gather(
        rig.simulator_log(makes_after=makes_before, accepts_after=accepts_before),
        rig.database_url,
        cashback_ids=scene.cashback_ids,
        users=scene.users,
        faults=scene.faults,
        queued_by_ms=scene.queued_by_ms,
    ).without(scene.set_aside)
    return judge(
        scene.name,
        evidence,
        cutoff_seconds=cutoff_seconds,
        least_in_time_share=scene.least_in_time_share,
        unmet=scene.unmet,
        figures=scene.figures,
        seconds=time.monotonic() - begun,
    )


def _report(
    options: SuiteOptions, outcomes: Sequence[Outcome], baseline: dict[str, Any] | None, *, seconds: float
) -> dict[str, Any]:
    report = {
        "seed": options.seed,
        "form": options.form.name,
        "seconds": round(seconds, 1),
        "scenarios": {outcome.name: outcome.as_json() for outcome in outcomes},
        "ok": all(outcome.is_good for outcome in outcomes),
    }
    return report if baseline is None else report | {"baseline": {BASELINE: baseline}}


def say(console: Console, outcome: Outcome) -> None:
    """Print how a scenario went."""
    verdict = Text("good", "green") if outcome.is_good else Text("BROKEN", "bold red")
    console.print(f"{outcome.name:<22} {outcome.seconds:6.1f} s ", verdict)


def _show(
    console: Console, outcomes: Sequence[Outcome], baseline: dict[str, Any] | None, *, path: Path
) -> None:
    columns = ("events", "faults", *INVARIANTS, "answered_in_time")
    table = Table("scenario", *(name.replace("_", " ") for name in columns), "recovery p50, p99 ms", "s", "")
    for outcome in outcomes:
        row = outcome.as_json()
        recovery = row["recovery_ms"]
        table.add_row(
            outcome.name,
            *(str(row[name]) for name in columns),
            f"{recovery['p50']}, {recovery['p99']}",
            str(row["seconds"]),
            Text("good", "green") if outcome.is_good else Text("BROKEN", "bold red"),
        )
    if outcomes:
        console.print(table)
    for outcome in outcomes:
        for line in outcome.lines()[:10]:
            console.print(Text(f"{outcome.name}: {line}", "red"), soft_wrap=True)
    if baseline is not None:
        console.print(f"plain Celery: {baseline}", soft_wrap=True)
    console.print(f"Report: {path}", soft_wrap=True)
    if outcomes:
        console.print(_closing_line(outcomes), soft_wrap=True)


def _closing_line(outcomes: Sequence[Outcome]) -> str:
    broken = {name: sum(len(outcome.findings[name]) for outcome in outcomes) for name in INVARIANTS}
    counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in broken.items())
    good = sum(outcome.is_good for outcome in outcomes)
    events = sum(outcome.events for outcome in outcomes)
    in_time = sum(outcome.answered_in_time for outcome in outcomes)
    faults = sum(outcome.faults for outcome in outcomes)
    verdict = f"{good} of {len(outcomes)} scenarios good"
    return f"{verdict}: {events} events, {faults} faults, {counts}, {in_time} in time"
