"""What checks are called: names that are one, and headings that fit a screen."""

from tests.support.reconciled import ALL


def test_each_check_has_a_name_of_its_own_and_a_heading_of_one_line() -> None:
    assert len({check.name for check in ALL}) == len(ALL)
    assert [check.name for check in ALL if len(f"{check.name}: {check.what}") > 80] == []
