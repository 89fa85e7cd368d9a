"""The bill of materials names what the lock file pins, in its versions, and nothing else."""

from typing import Any

import pytest

from deploy.supply.pins import Pin
from deploy.supply.sbom import faults_of

PINS = (
    Pin(name="pyjwt", version="2.15.1", marker=""),
    Pin(name="vine", version="5.1.0", marker="python_version >= '3'"),
    Pin(name="elsewhere", version="1", marker="python_version < '3'"),
)
GOOD = [{"name": "PyJWT", "version": "2.15.1"}, {"name": "vine", "version": "5.1.0"}]


def bill(*components: dict[str, Any]) -> dict[str, Any]:
    return {"components": components}


def test_all_that_is_pinned_for_this_machine_is_listed() -> None:
    assert faults_of(bill(*GOOD), PINS) == []


@pytest.mark.parametrize(
    ("components", "faults"),
    [
        (GOOD[:1], ["vine 5.1.0 is missing"]),
        ([*GOOD, {"name": "pip", "version": "26"}], ["pip 26 is not shipped"]),
        (
            [GOOD[0], {"name": "vine", "version": "5.2"}],
            ["vine 5.1.0 is missing", "vine 5.2 is not shipped"],
        ),
        ([], ["pyjwt 2.15.1 is missing", "vine 5.1.0 is missing"]),
    ],
)
def test_what_is_missing_or_too_much_is_named(components: list[dict[str, Any]], faults: list[str]) -> None:
    assert faults_of(bill(*components), PINS) == faults
