"""The comparison with a run that refuses nothing: what was refused must have helped."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from deploy.local.environment import ROOT
from tests.faults.rig import NO_SHEDDING
from tests.faults.scene import SHORT
from tests.faults.shedding.comparison import COMPARISON_NAME, Compared, compare_shedding, side_by_side
from tests.faults.suite import BASELINE, SuiteOptions, conclude
from tests.unit.faults.test_checks import TRUE, judged


def outcome(*, refused: int, in_time: int) -> dict[str, Any]:
    return {"answered_in_time": in_time, "figures": {"refused": refused}}


def test_the_runs_of_a_scenario_are_added_up() -> None:
    rows = side_by_side(
        ["a", "a", "b"],
        [outcome(refused=1, in_time=10), outcome(refused=2, in_time=20), outcome(refused=0, in_time=5)],
        [outcome(refused=0, in_time=9), outcome(refused=0, in_time=19), outcome(refused=0, in_time=6)],
    )

    assert rows == [
        Compared(name="a", refused=3, in_time=30, refused_without=0, in_time_without=28),
        Compared(name="b", refused=0, in_time=5, refused_without=0, in_time_without=6),
    ]


@pytest.mark.parametrize(
    ("refused", "in_time", "in_time_without", "is_right"),
    [(0, 5, 6, True), (3, 30, 30, True), (3, 30, 28, True), (3, 30, 31, False)],
)
def test_to_refuse_is_right_where_to_take_all_answers_no_more_in_time(
    *, refused: int, in_time: int, in_time_without: int, is_right: bool
) -> None:
    row = Compared(name="a", refused=refused, in_time=in_time, in_time_without=in_time_without)

    assert row.is_right is is_right


@pytest.mark.parametrize(("in_time_without", "is_right"), [(1, True), (2, False)])
def test_all_runs_twice_and_the_second_time_nothing_is_shed(
    tmp_path: Path, *, in_time_without: int, is_right: bool
) -> None:
    # Given a suite in which a make is refused with shedding, and so many are answered without
    settings: list[dict[str, str]] = []

    def run(options: SuiteOptions, *, console: Console) -> bool:
        settings.append(options.rig_options(prefixes=["some"]).settings)
        came = judged(TRUE) if options.sheds else replace(judged(TRUE), answered_in_time=in_time_without)
        came.figures["refused"] = int(options.sheds)
        conclude(options, [came], seconds=1.0, console=console)
        return False  # a scenario may well be broken without shedding

    options = SuiteOptions(directory=tmp_path, seed=1, form=SHORT, scenarios=["some", BASELINE])
    assert compare_shedding(options, run=run, console=Console(quiet=True)) is is_right

    assert settings == [{}, NO_SHEDDING]
    assert json.loads((tmp_path / COMPARISON_NAME).read_text("utf-8")) == [
        {"name": "some", "refused": 1, "in_time": 1, "refused_without": 0, "in_time_without": in_time_without}
    ]


def test_a_process_without_shedding_never_waits_too_long() -> None:
    asked = "from producer.receiver.backlog import Backlog; print(Backlog.is_too_long(None))"

    said = subprocess.run(
        [sys.executable, "-c", asked],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **NO_SHEDDING},
    )

    assert said.stdout == "False\n"
