"""All that reads what others send: inputs that Hypothesis makes, and those that found something once."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.exact import number_of
from tests.fuzz.generated import generated
from tests.fuzz.inputs import inputs
from tests.fuzz.kept import CASES, cases_of
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

CASES_EACH = 200


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_whatever_comes_is_taken_as_it_says_or_refused(target: Target) -> None:
    @settings(max_examples=CASES_EACH)
    @given(inputs(target))
    def whatever(data: bytes) -> None:
        target.check(data)

    whatever()


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_what_leads_far_in_and_what_found_something_holds(target: Target) -> None:
    for data in (b"", *target.seeds, *(path.read_bytes() for path in cases_of(target))):
        target.check(data)


def test_each_folder_of_kept_inputs_is_of_a_target() -> None:
    assert {path.parent.name for path in CASES.rglob("*") if path.is_file()} <= set(TARGETS)


def test_an_input_that_a_target_fails_on_is_found_made_small_and_kept(tmp_path: Path) -> None:
    def check(data: bytes) -> None:
        if b"\xff" in data:
            raise ValueError("this one")

    broken = Target(name="broken", check=check, seeds=(b"seed",), words=(b"\xff",))

    outcome = generated(broken, cases=1_000, seed=1, directory=tmp_path)

    assert outcome.found is not None
    assert outcome.found.read_bytes() == b"\xff"
    assert "this one" in outcome.error


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**20), max_value=10**20))
def test_the_second_reading_of_numbers_reads_them(value: object) -> None:
    assert str(number_of(str(value))) == str(number_of(f"{value}e0"))
    assert number_of(str(value)) is not None


@pytest.mark.parametrize("text", ["", "+", ".", "1.", ".5", "1e", "1e+", "e1", " 1", "1_0", "\u0661", "1e29"])
def test_the_second_reading_of_numbers_refuses_what_is_none(text: str) -> None:
    assert number_of(text) is None
