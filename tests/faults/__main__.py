"""`python -m tests.faults`: the fault suite."""

from functools import partial
from pathlib import Path

import click

from tests.faults.catalogue import LONG_ONLY, SCENARIOS
from tests.faults.command import (
    directory_option,
    form_option,
    list_of,
    run_and_exit,
    said_seed,
    seed_option,
    shedding_option,
)
from tests.faults.scene import LONG, SHORT
from tests.faults.shedding import comparison
from tests.faults.suite import BASELINE, SuiteOptions, run_suite


@click.group()
def main() -> None:
    """Break everything that can break, one at a time, and check the invariants from outside."""


@main.command()
@seed_option
@click.option(
    "--scenario", "scenarios", type=click.Choice([*SCENARIOS, BASELINE]), multiple=True, help="Default: all."
)
@form_option
@shedding_option
@directory_option("var/faults")
def run(
    *, seed: int | None, scenarios: tuple[str, ...], short: bool, compare_shedding: bool, directory: Path
) -> None:
    """Run scenarios; ends with 1 when one of them shows a broken invariant or proves nothing."""
    everything = (
        tuple(name for name in SCENARIOS if name not in LONG_ONLY) if short else (*SCENARIOS, BASELINE)
    )
    options = SuiteOptions(
        directory=directory,
        seed=said_seed(seed),
        form=SHORT if short else LONG,
        scenarios=scenarios or everything,
    )
    suite = partial(comparison.compare_shedding, run=run_suite) if compare_shedding else run_suite
    run_and_exit(lambda console: suite(options, console=console), directory=directory)


@main.command(name="list")
def list_scenarios() -> None:
    """Say which scenarios there are."""
    list_of(SCENARIOS)


if __name__ == "__main__":
    main()
