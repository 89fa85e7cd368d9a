"""The scenarios on one machine: what each form runs."""

import pytest

from tests.faults.catalogue import LONG_ONLY, SCENARIOS


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_says_what_it_does(name: str) -> None:
    assert (SCENARIOS[name].__doc__ or "").partition("\n")[0].endswith(".")


def test_what_only_the_long_form_runs_is_in_the_catalogue() -> None:
    assert SCENARIOS.keys() > LONG_ONLY
