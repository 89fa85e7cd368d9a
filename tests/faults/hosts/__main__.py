"""`python -m tests.faults.hosts`: the fault suite on hosts of their own."""

import secrets
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console

from deploy.local.errors import LocalError
from deploy.local.up import Stopped, stopped_by_signals
from tests.faults.hosts.catalogue import SCENARIOS
from tests.faults.hosts.network import require_hosts
from tests.faults.hosts.partitions import HostScene
from tests.faults.hosts.rig import HostRig
from tests.faults.load import accounts_csv
from tests.faults.rig import RigOptions
from tests.faults.scene import LONG, SHORT
from tests.faults.suite import SuiteOptions, conclude, run_scenario, say

if TYPE_CHECKING:
    from tests.faults.outcome import Outcome

_MAX_SEED: Final = 2**31
_TABLE_COLUMNS: Final = 200


@click.group()
def main() -> None:
    """Cut hosts from each other and fail servers over, and check the invariants from outside."""


@main.command()
@click.option("--seed", type=click.IntRange(min=0), default=None, help="Replays a run; default: a new one.")
@click.option("--scenario", "scenarios", type=click.Choice([*SCENARIOS]), multiple=True, help="Default: all.")
@click.option("--times", type=click.IntRange(min=1), default=1, show_default=True, help="How often each.")
@click.option("--short/--long", "short", default=True, show_default=True)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("var/faults-hosts"),
    show_default=True,
    help="Data, logs and report.json; what the last run left there is removed.",
)
def run(*, seed: int | None, scenarios: tuple[str, ...], times: int, short: bool, directory: Path) -> None:
    """Run scenarios; ends with 1 when one shows a broken invariant, or where hosts cannot be built."""
    seed = secrets.randbelow(_MAX_SEED) if seed is None else seed
    click.echo(f"seed {seed}")
    options = SuiteOptions(
        directory=directory,
        seed=seed,
        form=SHORT if short else LONG,
        scenarios=[name for name in scenarios or SCENARIOS for _ in range(times)],
    )
    console = Console(width=None if sys.stdout.isatty() else _TABLE_COLUMNS)
    try:
        require_hosts()
        with stopped_by_signals():
            is_good = _run_all(options, console=console)
    except Stopped:
        click.echo("Stopped.")
        sys.exit(130)
    except LocalError as error:
        click.echo(f"Error: {error}", err=True)
        is_good = False
    if not is_good:
        sys.exit(1)


@main.command(name="list")
def list_scenarios() -> None:
    """Say which scenarios there are."""
    for name, scenario in SCENARIOS.items():
        click.echo(f"{name:<26} {(scenario.__doc__ or '').splitlines()[0]}")


def _run_all(options: SuiteOptions, *, console: Console) -> bool:
    begun = time.monotonic()
    outcomes: list[Outcome] = []
    # One name for each run: its events and its users are its own.
    names = [f"{name}-{number}" for number, name in enumerate(options.scenarios, 1)]
    rig_options = RigOptions(
        directory=options.directory,
        accounts_csv=accounts_csv(names),
        deadline_seconds=options.form.deadline_seconds,
        reserve_seconds=options.form.reserve_seconds,
    )
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
