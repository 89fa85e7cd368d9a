"""`python -m tests.faults.hosts`: the fault suite on hosts of their own."""

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from tests.faults.command import (
    directory_option,
    form_option,
    list_of,
    run_and_exit,
    said_seed,
    seed_option,
    shedding_option,
)
from tests.faults.hosts.catalogue import LONG_ONLY, SCENARIOS
from tests.faults.hosts.network import require_hosts
from tests.faults.hosts.rig import HostRig
from tests.faults.hosts.scene import HostScene
from tests.faults.scene import LONG, SHORT
from tests.faults.shedding import comparison
from tests.faults.suite import SuiteOptions, conclude, run_scenario, say

if TYPE_CHECKING:
    from tests.faults.outcome import Outcome


@click.group()
def main() -> None:
    """Cut hosts from each other and fail servers over, and check the invariants from outside."""


@main.command()
@seed_option
@click.option(
    "--scenario",
    "scenarios",
    type=click.Choice([*SCENARIOS]),
    multiple=True,
    help="Default: all of the form.",
)
@click.option("--times", type=click.IntRange(min=1), default=1, show_default=True, help="How often each.")
@form_option
@shedding_option
@directory_option("var/faults-hosts")
def run(  # noqa: PLR0913 -- one argument per option
    *,
    seed: int | None,
    scenarios: tuple[str, ...],
    times: int,
    short: bool,
    compare_shedding: bool,
    directory: Path,
) -> None:
    """Run scenarios; ends with 1 when one shows a broken invariant, or where hosts cannot be built."""
    everything = [name for name in SCENARIOS if not (short and name in LONG_ONLY)]
    options = SuiteOptions(
        directory=directory,
        seed=said_seed(seed),
        form=SHORT if short else LONG,
        scenarios=[name for name in scenarios or everything for _ in range(times)],
    )
    suite = partial(comparison.compare_shedding, run=_run_all) if compare_shedding else _run_all
    run_and_exit(lambda console: suite(options, console=console), directory=directory)


@main.command(name="list")
def list_scenarios() -> None:
    """Say which scenarios there are."""
    list_of(SCENARIOS)


def _run_all(options: SuiteOptions, *, console: Console) -> bool:
    require_hosts()
    begun = time.monotonic()
    outcomes: list[Outcome] = []
    # One name for each run: its events and its users are its own.
    names = [f"{name}-{number}" for number, name in enumerate(options.scenarios, 1)]
    rig_options = options.rig_options(prefixes=names)
    with HostRig(rig_options) as rig:
        for number, scenario in enumerate(options.scenarios, 1):
            name = names[number - 1]
            scene = HostScene(name, rig=rig, form=options.form, seed=options.seed, number=number)
            cutoff_seconds = rig_options.cutoff_seconds
            outcomes.append(run_scenario(SCENARIOS[scenario], scene, cutoff_seconds=cutoff_seconds))
            say(console, outcomes[-1])
    return conclude(options, outcomes, seconds=time.monotonic() - begun, console=console)


if __name__ == "__main__":
    main()
