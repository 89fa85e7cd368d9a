"""What checks are called: names that are one, and headings that fit a screen."""

from worker.reconciliation.checks import checks_with


def test_each_check_has_a_name_of_its_own_and_a_heading_of_one_line() -> None:
    checks = checks_with(statement=True)

    assert len({check.name for check in checks}) == len(checks)
    assert [check.name for check in checks if len(f"{check.name}: {check.what}") > 80] == []
